"""Sends a vCon to receivers on the web.

Reads the vCon, which is sent whole as JSON in a POST to every URL, in the form of
EGRESS_FORMAT_VERSION; writes nothing. All receivers
get it even if one fails, and get it again when the run is repeated. A vCon that is not there ends
the run. Raises `DeliveryError` when a receiver did not answer 2xx in the end; errors and log lines
name the host of a receiver, never its URL.

Every message has a header `webhook-id`, the same whenever the same link sends the same content of
the same vCon again; receivers can tell repeats by it. With a `secret` there are also
`webhook-timestamp` (seconds since 1970) and `webhook-signature`: `v1,` and the base64 of the
HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.<body>`. That is the Standard Webhooks
specification, for which receivers find a library in most languages. A secret that begins with
`whsec_` is base64 after that; any other is used as it is.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Annotated, Any

import httpx
import orjson
from pydantic import BeforeValidator, Field, SecretStr

from lib.options import GuestOptions
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from links.webhook.delivery import DeliveryError, Patience, close, deliver
from links.webhook.signature import message_id, signed_headers

__all__ = ["DeliveryError", "Options", "close", "run"]

log = logging.getLogger(__name__)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) and value else value or []


class Options(GuestOptions):
    """Where to, and how."""

    webhook_urls: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        [],
        alias="webhook-urls",
        description="the receivers; a text is taken for the only one; with none, the run goes on "
        "and the log says so",
    )
    headers: dict[str, str] = Field(
        {},
        description="sent with every request; `content-type` is `application/json` unless it is "
        "given here",
    )
    timeout: float = Field(30, gt=0, description="+ seconds for one attempt")
    retries: int = Field(
        3,
        ge=0,
        description="+ how often an attempt is repeated that met a broken connection, a time-out, "
        "429 or 5xx; a `Retry-After` of up to 60 seconds is honoured, one of more fails at once",
    )
    backoff: float = Field(
        0.5,
        ge=0,
        description="+ seconds before the first repeat; each further pause is twice as long, up to "
        "60",
    )
    secret: SecretStr = Field(SecretStr(""), description="+ signs every message")


async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Send the vCon to every receiver; its uuid, or None when there is no such vCon."""
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    options = Options.of(opts)
    body = orjson.dumps(to_configured_legacy(document))
    headers = _headers(options, message_id(link_name, vcon_uuid, body), body)
    patience = Patience(options.timeout, options.retries, options.backoff)
    await _send(options.webhook_urls, body, headers, patience)
    return vcon_uuid


async def _send(
    urls: list[str], body: bytes, headers: Mapping[str, str], patience: Patience
) -> None:
    if not urls:
        log.warning("webhook has no webhook-urls to send to")
    sent = [deliver(url, body, headers, patience) for url in urls]
    outcomes = await asyncio.gather(*sent, return_exceptions=True)
    failures = [outcome for outcome in outcomes if outcome is not None]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise DeliveryError("; ".join(map(str, failures)))


def _headers(options: Options, message: str, body: bytes) -> httpx.Headers:
    headers = httpx.Headers({"content-type": "application/json"})
    headers.update(options.headers)
    headers["webhook-id"] = message
    if secret := options.secret.get_secret_value():
        headers.update(signed_headers(secret, message, int(time.time()), body))
    return headers
