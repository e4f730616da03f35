"""Requests to a transparency service with the interface SCRAPI (draft-ietf-scitt-scrapi).

A statement is sent to `/entries`. The service answers 201 with the receipt, or 303 with an address
that is polled until it answers 200. Errors are concise problem details in CBOR (RFC 9290). The
addresses in answers are followed on the configured service only: what a service names elsewhere,
such as its public name behind a proxy, is requested at the configured address by its last part.
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import orjson
from pydantic import Field, SecretStr, field_validator

from lib.scitt.cose import CoseError, PublicKey, decoded, keys_of_cose, keys_of_jose
from lib.web import http_client
from lib.web.client_library import httpx
from lib.web.http_retry import BACKOFF, RETRIES, HttpRetryOptions, VendorError, call_vendor
from lib.web.http_retry import retry_after as seconds_asked
from pipeline.runs.call_scope import remaining

NAME = "the transparency service"
MOST_BYTES = 262_144
"""Bytes of an answer: a receipt has about one thousand."""
KEYS_SECONDS = 300.0
"""Seconds for which a process keeps the service's keys."""
LONGEST_ID = 512
"""Characters of an entry's identifier."""

CONFIGURATION, KEYS = "/.well-known/transparency-configuration", "/.well-known/scitt-keys"
COSE, CBOR, JSON = "application/cose", "application/cbor", "application/json"
_PROBLEM = "application/concise-problem-details+cbor"
_RUNNING = (202, 302, 303)
_KNOWN = "already registered"


class ServiceOptions(HttpRetryOptions):
    """Options for the requests."""

    scrapi_url: str = Field("http://scittles:8000", description="the transparency service's URL")
    api_token: SecretStr = Field(
        SecretStr(""), description="+ a bearer token, for a service that demands one"
    )
    jwks_url: str = Field(
        "",
        description="+ where the service's keys are, as a JWK set or a COSE key set; unset: as its "
        "transparency configuration says, at the same host and port only",
    )
    timeout: float = Field(30, gt=0, description="+ seconds for one attempt")
    retries: int = Field(3, ge=0, description=RETRIES)
    backoff: float = Field(1, ge=0, description=BACKOFF)
    poll_interval: float = Field(
        2, gt=0, description="+ seconds between two questions whether a registration has ended"
    )
    poll_timeout: float = Field(
        60, gt=0, description="+ seconds in which a registration must have ended"
    )

    @field_validator("scrapi_url")
    @classmethod
    def _without_credentials(cls, url: str) -> str:
        found = urlsplit(url)
        if found.scheme not in ("http", "https") or not found.hostname:
            raise ValueError("not an http:// or https:// URL")
        if "@" in found.netloc or found.query or found.fragment:
            raise ValueError("it is written into vCons: credentials belong into api_token")
        return url.rstrip("/")


class Registered(NamedTuple):
    """A registered statement: the service's name for the entry, and the receipt as received."""

    entry_id: str
    receipt: bytes


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class _ProblemError(httpx.HTTPStatusError):
    """An answer of 4xx or 5xx; `body` is what `call_vendor` reads the message from."""

    title = ""
    body: Mapping[str, str] = {}


class _Keys:
    """The keys of a service, and when they were fetched; closed with the loop's clients."""

    def __init__(self) -> None:
        self.found: list[PublicKey] = []
        self.until = 0.0

    async def aclose(self) -> None:
        self.until = 0.0


async def register(options: ServiceOptions, statement: bytes, payload: bytes) -> Registered:
    """Register a statement, or find it if the service has it already; waits for the receipt.

    The receipt is not verified here.

    Raises:
        VendorError: if the service cannot be reached, refuses, or takes longer than
            `poll_timeout`.
    """
    headers = {"content-type": COSE}

    async def send() -> _Answer:
        url = f"{options.scrapi_url}/entries"
        try:
            return await _exchange(options, "POST", url, content=statement, headers=headers)
        except _ProblemError as problem:
            if not _is_known(problem):
                raise
            # SCITTLEs' name of an entry is the payload's SHA-256
            place = problem.response.headers.get("location", "")
            return _Answer(303, {"location": place or hashlib.sha256(payload).hexdigest()}, b"")

    answer = await call_vendor(send, options.http_retry, NAME)
    if answer.status == 201:
        return Registered(_last_part(answer.location), answer.content)
    if answer.status in _RUNNING and answer.location:
        return await _ended(options, answer)
    raise VendorError(f"{NAME} answered {answer.status} to a statement, without a receipt")


async def keys(options: ServiceOptions, *, fresh: bool = False) -> list[PublicKey]:
    """The service's keys; those fetched in the last minutes unless `fresh`.

    Raises:
        VendorError: if they cannot be fetched, or there are none.
    """
    kept = http_client.kept(("scitt keys", options.scrapi_url, options.jwks_url), _Keys)
    if fresh or time.monotonic() >= kept.until:
        kept.found = await _fetched_keys(options)
        kept.until = time.monotonic() + KEYS_SECONDS
    return kept.found


def _is_known(problem: _ProblemError) -> bool:
    status = problem.response.status_code
    return status == 409 or (status == 400 and _KNOWN in problem.title.casefold())


async def _ended(options: ServiceOptions, answer: _Answer) -> Registered:
    """The registration once it has ended; `answer` says where to ask."""
    until = time.monotonic() + options.poll_timeout
    pause, place = seconds_asked(_as_error(answer)), answer.location
    while True:
        if pause >= min(until - time.monotonic(), remaining()):
            text = f"{NAME} has not registered the statement in {options.poll_timeout:g} s"
            raise VendorError(text, peer_failed=True)
        await asyncio.sleep(pause)
        answer = await _get(options, _address(options, place), COSE, CBOR, JSON)
        if answer.status not in _RUNNING:
            break
        pause = max(seconds_asked(_as_error(answer)), options.poll_interval)
        place = answer.location or place
    if answer.kind == JSON:  # earlier drafts: the operation, which names the entry
        place = _entry_of(answer.content)
        answer = await _get(options, _address(options, place), COSE)
    return Registered(_last_part(answer.location or place), answer.content)


def _as_error(answer: _Answer) -> Any:
    """What `retry_after` reads: something with headers."""
    return answer


def _entry_of(content: bytes) -> str:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        found = None
    entry = found.get("entryID") or found.get("entry_id") if isinstance(found, dict) else None
    if not isinstance(entry, str):
        raise VendorError(f"{NAME} ended a registration without naming its entry")
    return entry


async def _fetched_keys(options: ServiceOptions) -> list[PublicKey]:
    found: list[PublicKey] = []
    for url in [options.jwks_url] if options.jwks_url else await _key_addresses(options):
        answer = await _get(options, url, CBOR, JSON, missing=True)
        if answer.status == 200:
            found = _keys_in(answer)
            break
    if not found:
        raise VendorError(f"{NAME} publishes no keys that can verify its receipts")
    return found


async def _key_addresses(options: ServiceOptions) -> list[str]:
    """Where the keys may be: as the configuration says, or else at SCRAPI's well-known address."""
    base = options.scrapi_url
    answer = await _get(options, f"{base}{CONFIGURATION}", CBOR, JSON, missing=True)
    configuration = _value(answer) if answer.status == 200 else None
    if not isinstance(configuration, Mapping):
        return [f"{base}{KEYS}"]
    named = configuration.get("jwks_uri")
    if not isinstance(named, str) or not named:
        return [f"{base}/jwks", f"{base}{KEYS}"]
    if _origin(named) != _origin(base):
        raise VendorError(
            f"{NAME} names an address of its keys at another host or port, which is not "
            "requested; set jwks_url to it, or to the same path at scrapi_url"
        )
    return [named]


def _keys_in(answer: _Answer) -> list[PublicKey]:
    found = _value(answer)
    return (
        keys_of_jose(found)
        if isinstance(found, Mapping) and "keys" in found
        else (keys_of_cose(found))
    )


def _value(answer: _Answer) -> Any:
    """The CBOR or JSON of an answer; None for anything else."""
    try:
        if answer.content[:1] in (b"{", b"[") and answer.kind != CBOR:
            return orjson.loads(answer.content)
        return decoded(answer.content, "the answer")
    except (orjson.JSONDecodeError, CoseError):
        return None


async def _get(options: ServiceOptions, url: str, *accepted: str, missing: bool = False) -> _Answer:
    """The answer; with `missing`, 404 is one, and otherwise an error."""

    async def ask() -> _Answer:
        try:
            return await _exchange(options, "GET", url, headers={"accept": ", ".join(accepted)})
        except _ProblemError as problem:
            if missing and problem.response.status_code == 404:
                return _Answer(404, {}, b"")
            raise

    return await call_vendor(ask, options.http_retry, NAME)


async def _exchange(
    options: ServiceOptions,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None = None,
) -> _Answer:
    """One request. Raises `_ProblemError` for 4xx and 5xx, and the errors of `httpx`."""
    sent = {"accept": f"{COSE}, {CBOR}", "accept-encoding": "identity", **headers}
    token = options.api_token.get_secret_value()
    if token and _origin(url) == _origin(options.scrapi_url):
        sent["authorization"] = f"Bearer {token}"
    async with http_client.shared_client().stream(
        method, url, headers=sent, content=content
    ) as answer:
        found = _Answer(answer.status_code, answer.headers, await _limited(answer))
        if answer.status_code >= 400:
            raise _problem(found, answer)
    return found


async def _limited(answer: httpx.Response) -> bytes:
    parts, size = [], 0
    async for part in answer.aiter_raw():
        size += len(part)
        if size > MOST_BYTES:
            raise VendorError(f"{NAME} answered with more than {MOST_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _problem(found: _Answer, answer: httpx.Response) -> _ProblemError:
    error = _ProblemError("problem", request=answer.request, response=answer)
    details = _value(found) if found.kind in (_PROBLEM, CBOR) else None
    if isinstance(details, Mapping):
        texts = [each for each in (details.get(-1), details.get(-2)) if isinstance(each, str)]
        error.title = texts[0] if texts else ""
        error.body = {"message": ": ".join(texts)}
    return error


def _address(options: ServiceOptions, place: str) -> str:
    """The address of a location on the service itself."""
    if place.startswith("/") and not place.startswith("//"):
        found = urlsplit(options.scrapi_url)
        return f"{found.scheme}://{found.netloc}{place}"
    if _origin(place) == _origin(options.scrapi_url):
        return place
    return f"{options.scrapi_url}/entries/{quote(_last_part(place), safe='')}"


def _last_part(place: str) -> str:
    """The entry's identifier, without what cannot be one."""
    part = place.rstrip("/").rpartition("/")[2]
    if len(part) > LONGEST_ID or not part.isprintable():
        raise VendorError(f"{NAME} named an entry with more than {LONGEST_ID} characters")
    return part


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        found = urlsplit(url)
        port = found.port or {"http": 80, "https": 443}.get(found.scheme)
    except ValueError:
        return ("", None, None)
    return (found.scheme, found.hostname, port)
