"""Requests to the API of DataTrails: assets, their events, and events without an asset.

DataTrails hangs events on assets, and is about to drop assets; so, as in vcon-server, one asset for
each day in UTC carries the events of that day. Its identity is kept in Redis, where the first
worker that needs it claims its creation, so that workers that start at the same time create one.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Self

import orjson
from pydantic import Field, SecretStr, field_validator, model_validator

from lib.options import PluginOptions, vendor_variable
from lib.redis_mgr import get_async_client
from lib.web.client_credentials import Grant, call_with_token
from lib.web.http_retry import BACKOFF, RETRIES, HttpRetryOptions, VendorError, call_vendor
from lib.web.json_api import HttpUrl, JsonAnswer, call_json, send_json

SERVER = "DataTrails"
VERSION = "0.3.0"
"""vcon-server's version of this link, which assets and events name."""
MOST_BYTES = 4 * 1024 * 1024
"""Bytes of an answer: a page of events."""
PAGE = 50
"""Events of a page; the most that a search for events without an asset returns."""
MOST_PAGES = 20
CLAIM_SECONDS = 300
"""Seconds after which another worker creates the asset, if the first one died."""
KEPT_SECONDS = 2 * 86_400
LOOK_SECONDS = 0.1
"""Seconds between two looks whether another worker has created the asset."""

_ASSET = re.compile(r"assets/[0-9A-Za-z-]{1,64}", re.ASCII)
_OIDC = "oidc-client-credentials"

type Attributes = Mapping[str, Any]


class AuthOptions(PluginOptions):
    """The option `auth`: the credentials of a custom integration of DataTrails."""

    type: str = Field(_OIDC, description="only `oidc-client-credentials`, in any case")
    token_endpoint: HttpUrl = Field("", description="where tokens come from; unset: `auth_url`")
    client_id: str = Field("", description="the client's id")
    client_secret: SecretStr = Field(SecretStr(""), description="its secret")

    @field_validator("type")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind.casefold() != _OIDC:
            raise ValueError(f"only {_OIDC} is supported")
        return kind


class ApiOptions(HttpRetryOptions):
    """Options for the requests."""

    api_url: HttpUrl = Field(
        "https://app.datatrails.ai/archivist", min_length=1, description="the API's URL"
    )
    auth_url: HttpUrl = Field(
        "https://app.datatrails.ai/archivist/iam/v1/appidp/token",
        description="where tokens come from, without `auth.token_endpoint`",
    )
    partner_id: str = Field("not-set", description="the partner's id that requests name")
    asset_attributes: dict[str, str] = Field(
        {"arc_display_type": "vcon_droid", "conserver_link_version": VERSION},
        description="attributes of the asset of a day, beside its day as `droid_id`",
    )
    auth: AuthOptions = Field(
        AuthOptions(),
        description="`type` (`oidc-client-credentials`), `token_endpoint`, `client_id` and "
        "`client_secret`; an id or secret that is unset is taken from the variables "
        "`DATATRAILS_CLIENT_ID` and `DATATRAILS_CLIENT_SECRET`",
    )
    timeout: float = Field(30, gt=0, description="+ seconds for one attempt")
    retries: int = Field(3, ge=0, description=RETRIES)
    backoff: float = Field(1, ge=0, description=BACKOFF)

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        if not self.client_id or not self.client_secret.get_secret_value():
            raise ValueError("set auth.client_id and auth.client_secret")
        return self

    @property
    def client_id(self) -> str:
        """The id of the client."""
        return self.auth.client_id or vendor_variable("DATATRAILS_CLIENT_ID")

    @property
    def client_secret(self) -> SecretStr:
        """The secret of the client."""
        given = self.auth.client_secret
        return given if given.get_secret_value() else _variable("DATATRAILS_CLIENT_SECRET")

    @property
    def grant(self) -> Grant:
        """Where tokens come from."""
        endpoint = self.auth.token_endpoint or self.auth_url
        return Grant(
            endpoint,
            self.client_id,
            self.client_secret,
            issuer=f"the token endpoint of {SERVER}",
            refused=f"{SERVER} answered 401 to the client {self.client_id}",
        )


async def record(options: ApiOptions, day: str, attributes: Attributes, wanted: Attributes) -> None:
    """Add an event to the asset of a day, unless an event has what is `wanted` after a lost answer.

    Raises:
        VendorError: if DataTrails cannot be reached or refuses.
    """
    asset = await _asset(options, day)
    event = {
        "operation": "Record",
        "behaviour": "RecordEvidence",
        "event_attributes": dict(attributes),
    }

    async def known() -> Any:
        return event if await is_recorded(options, wanted) else None

    answer = await _add(options, f"/v2/{asset}/events", event, known, accept=(404,))
    if answer.status == 404:
        await (await get_async_client()).delete(_key(options, day))
        raise VendorError(f"{SERVER} does not have the asset of {day} any more; a repeat makes one")


async def is_recorded(options: ApiOptions, wanted: Attributes) -> bool:
    """Whether an event of any asset has these attributes."""
    params = {f"event_attributes.{name}": str(value) for name, value in wanted.items()}
    answer = await _call(
        options, "GET", "/v2/assets/-/events", params={**params, "page_size": str(PAGE)}
    )
    return any(_has(each.get("event_attributes"), wanted) for each in _items(answer, "events"))


async def record_without_asset(
    options: ApiOptions, trail: str, attributes: Attributes, wanted: Attributes
) -> None:
    """The same for an event that no asset carries. Raises VendorError."""
    event = {"attributes": dict(attributes), "trails": [trail]}

    async def known() -> Any:
        return event if await is_recorded_without_asset(options, trail, wanted) else None

    await _add(options, "/v1/events", event, known)


async def is_recorded_without_asset(options: ApiOptions, trail: str, wanted: Attributes) -> bool:
    """Whether an event of this trail has these attributes; up to 1,000 are looked at."""
    quoted = trail.replace("'", "''")
    search = {"filter": f"trails/any(t: t eq '{quoted}')", "top": PAGE}
    for page in range(MOST_PAGES):
        body = {**search, "skip": page * PAGE}
        found = list(_items(await _call(options, "POST", "/v1/events/search", json=body), "events"))
        if any(_has(each.get("attributes"), wanted) for each in found):
            return True
        if len(found) < PAGE:
            break
    return False


async def _asset(options: ApiOptions, day: str) -> str:
    """The identity of the asset of a day, which is created if there is none."""
    client, key = await get_async_client(), _key(options, day)
    until = time.monotonic() + CLAIM_SECONDS
    while not (known := await client.get(key)):
        if await client.set(key, "", nx=True, ex=CLAIM_SECONDS):
            try:
                known = await _found(options, day) or await _created(options, day)
            except BaseException:
                await client.delete(key)  # the next one tries
                raise
            await client.set(key, known, ex=KEPT_SECONDS)
            break
        if time.monotonic() >= until:
            raise VendorError(f"another worker has not created the asset of {day} at {SERVER}")
        await asyncio.sleep(LOOK_SECONDS)
    return str(known)


def _key(options: ApiOptions, day: str) -> str:
    parts = (options.api_url, options.client_id, day, sorted(options.asset_attributes.items()))
    return f"pc:asset:{hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]}"


async def _found(options: ApiOptions, day: str) -> str | None:
    wanted = _of_day(options, day)
    params = {f"attributes.{name}": value for name, value in wanted.items()}
    answer = await _call(options, "GET", "/v2/assets", params=params)
    found = [each for each in _items(answer, "assets") if _has(each.get("attributes"), wanted)]
    return _identity(found[0]) if found else None


async def _created(options: ApiOptions, day: str) -> str:
    asset = {
        "behaviours": ["RecordEvidence"],
        "attributes": _of_day(options, day),
        "public": False,
    }

    async def known() -> Any:
        identity = await _found(options, day)
        return {"identity": identity} if identity else None

    return _identity((await _add(options, "/v2/assets", asset, known)).body)


def _of_day(options: ApiOptions, day: str) -> dict[str, str]:
    return {**options.asset_attributes, "droid_id": day}


def _identity(asset: Any) -> str:
    identity = asset.get("identity") if isinstance(asset, dict) else None
    if not isinstance(identity, str) or not _ASSET.fullmatch(identity):
        raise VendorError(f"{SERVER} answered with an asset without an identity")
    return identity


async def _add(
    options: ApiOptions,
    path: str,
    record: Attributes,
    known: Callable[[], Awaitable[Any]],
    accept: tuple[int, ...] = (),
) -> JsonAnswer:
    """The answer to a POST, which DataTrails has no key for.

    Before a repetition, `known` looks for the record: the answer to the first request may be lost.
    """
    began = False

    async def send(token: str) -> JsonAnswer:
        async def attempt() -> JsonAnswer:
            nonlocal began
            if began and (found := await known()) is not None:
                return JsonAnswer(200, found)
            began = True
            url, words = _request(options, path, token, accept)
            return await send_json("POST", url, **words, json=record)

        return await call_vendor(attempt, options.http_retry, SERVER)

    return await call_with_token(options.grant, options.http_retry, send)


async def _call(options: ApiOptions, method: str, path: str, **content: Any) -> JsonAnswer:
    async def send(token: str) -> JsonAnswer:
        url, words = _request(options, path, token)
        return await call_json(method, url, retry=options.http_retry, **words, **content)

    return await call_with_token(options.grant, options.http_retry, send)


def _request(
    options: ApiOptions, path: str, token: str, accept: tuple[int, ...] = ()
) -> tuple[str, dict[str, Any]]:
    """The URL, and the further arguments of a request."""
    headers = {
        "authorization": f"Bearer {token}",
        "datatrails-user-agent": f"oss/conserverlink/{VERSION}",
        "datatrails-partner-id": options.partner_id,
        "content-type": "application/json",
    }
    words = {"server": SERVER, "headers": headers, "most_bytes": MOST_BYTES}
    return f"{options.api_url.rstrip('/')}{path}", {**words, "accept": (401, *accept)}


def _items(answer: JsonAnswer, name: str) -> Iterator[dict[str, Any]]:
    found = answer.body.get(name) if isinstance(answer.body, dict) else None
    if not isinstance(found, list):
        raise VendorError(f"{SERVER} answered without {name}")
    return (each for each in found if isinstance(each, dict))


def _has(attributes: Any, wanted: Attributes) -> bool:
    return isinstance(attributes, dict) and all(
        attributes.get(name) == value for name, value in wanted.items()
    )


def _variable(name: str) -> SecretStr:
    return SecretStr(vendor_variable(name))
