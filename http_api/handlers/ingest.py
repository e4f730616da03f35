"""Handlers that take vCons in."""

import re
from collections.abc import Collection, Sequence
from typing import Any, TypedDict
from urllib.parse import unquote_plus

import orjson
from pydantic import Field, model_validator
from starlette.responses import Response

from http_api.answers import CUSTODY_HEADER, empty, json_response, json_text
from http_api.errors import LONGEST_INPUT, ParametersError
from http_api.handlers.storage_time import storage_time
from http_api.request import Request, parameter_name
from http_api.routing import Query
from schemas.ingested import Ingested


class Lists(Query):
    """The lists of a vCon, in the forms that clients use."""

    ingress_lists: list[str] = Field(
        [], description="Lists to queue it in: repeated, or one value with commas."
    )
    ingress_list: list[str] = Field([], description="The same as `ingress_lists`.")


class Options(TypedDict):
    """Arguments of the calls that take a vCon in."""

    idempotency_key: str | None
    any_list: bool


def lists_named(query: Lists, headers: Sequence[str], known: Collection[str]) -> list[str]:
    """The lists that a request names anywhere, each once.

    A value with commas is several lists, unless a list is known by the whole value. `headers` are
    those of the lists; clients of vcon-server send either.

    Raises:
        ParametersError: more than `MOST_LISTS`.
    """
    values = [*query.ingress_lists, *query.ingress_list, *headers]
    names = (
        name.strip()
        for value in values
        for name in ([value] if value in known else value.split(","))
    )
    named = [name for name in dict.fromkeys(names) if name]
    if len(named) > MOST_LISTS:
        problem = f"at most {MOST_LISTS} lists can be named"
        raise ParametersError.because(problem, "query", "ingress_lists")
    return named


MOST_LISTS = 100
"""Lists of one vCon: one script writes them all, and Redis serves no other client meanwhile."""
_OF_LISTS = (b"ingress_list", b"ingress_lists")


_MISNAMED = re.compile(rb"(?:^|&)([^=&]*ingress[^=&]*)", re.IGNORECASE)


def check_names(query: bytes) -> None:
    """Refuse a misspelt name: the vCon would be stored, and never queued.

    Raises:
        ParametersError: a parameter's name has `ingress` in it and is none of `Lists`.
    """
    for text in _MISNAMED.findall(query):
        name = parameter_name(unquote_plus(text.decode("latin-1")))
        if name not in Lists.model_fields:
            problem = "there is no such parameter; did you mean ingress_lists?"
            raise ParametersError.because(problem, "query", name[:LONGEST_INPUT])


async def post_vcon(request: Request[Lists]) -> Response:
    """Store a vCon, queue it in each list; 201 with the vCon as stored."""
    check_names(request.scope["query_string"])
    headers = [decoded(value) for name, value in request.scope["headers"] if name in _OF_LISTS]
    lists = lists_named(request.query, headers, request.pipeline.ingress_lists)
    content = (await request.body()).content
    if is_ping(content):
        return json_response({"test": True})
    taken = await request.pipeline.internal.accept(content, lists, **options(request))
    return json_text(taken.document, 201, custody(taken))


class OneList(Query):
    """The list of a partner's vCon."""

    ingress_list: str = Field(description="The list that the key opens.")
    ingress_lists: list[str] = Field([], description="The same, given once, instead.")

    @model_validator(mode="before")
    @classmethod
    def _under_either_name(cls, given: dict[str, Any]) -> dict[str, Any]:
        named = {*given.get("ingress_lists", ()), *([given[LIST]] if LIST in given else [])}
        if len(named) > 1:
            msg = "one list can be named here"
            raise ValueError(msg)
        return {**given, LIST: named.pop()} if named else given


LIST = "ingress_list"


async def external_ingress(request: Request[OneList]) -> Response:
    """Take a partner's vCon; 204.

    The key is checked before the body is read, the signature before the body is parsed.
    """
    key = partner_key(request)
    partner = await request.pipeline.partners.admit(request.query.ingress_list, key)
    body = await request.body()
    partner.check_signature(request.header(SIGNATURE), body.raw)
    if is_ping(body.content):
        return json_response({"test": True})
    return empty(custody(await partner.take(body.content, **options(request))))


SIGNATURE = "x-hub-signature-256"


def partner_key(request: Request[Any]) -> str | None:
    """The ingress key, in the header of the API's tokens."""
    text = request.header(request.settings.conserver_header_name.lower())
    return None if text is None else decoded(text.encode("latin-1"))


def decoded(value: bytes) -> str:
    """The text of a header: UTF-8, or else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


class OneListRequired(Query):
    """The list that stored vCons are queued in."""

    ingress_list: str = Field(description="The list.")


async def post_uuids(request: Request[OneListRequired]) -> Response:
    """Queue stored vCons; 204. Uuids that neither Redis nor a storage has are left out."""
    if wanted := await request.uuids(MOST_UUIDS):
        name, any_list = request.query.ingress_list, request.settings.api_any_list
        await request.pipeline.operations.enqueue(
            wanted, name, any_list=any_list, fetching=storage_time()
        )
    return empty()


MOST_UUIDS = 10_000
"""Uuids in one request; the storages are asked for each that is not in Redis."""


def options(request: Request[Any]) -> Options:
    """How a vCon is taken in; an empty `Idempotency-Key` is none."""
    return {
        "idempotency_key": (request.header("idempotency-key") or "").strip() or None,
        "any_list": request.settings.api_any_list,
    }


def custody(taken: Ingested) -> dict[str, str] | None:
    """The header that tells that Redis alone keeps the vCon."""
    return {CUSTODY_HEADER: "redis"} if taken.in_redis_alone else None


LONGEST_PING = 2000
"""Bytes; a longer body is a vCon."""


def is_ping(content: bytes) -> bool:
    """Whether this is no vCon, but what senders of webhooks try an address with."""
    if len(content) > LONGEST_PING or b'"test"' not in content:
        return False
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and value.get("test") is True and "uuid" not in value
