"""Handlers that take vCons in."""

from collections.abc import Collection, Sequence
from typing import Any

from pydantic import Field
from starlette.responses import Response

from http_api.answers import json_text
from http_api.request import Request
from http_api.routing import Query


class Lists(Query):
    """The lists of a vCon, in the forms that clients use."""

    ingress_lists: list[str] = Field(
        [], description="Lists to queue it in: repeated, or one value with commas."
    )
    ingress_list: str = Field("", description="One list; the same as `ingress_lists`.")


def lists_named(query: Lists, headers: Sequence[str | None], known: Collection[str]) -> list[str]:
    """The lists that a request names anywhere, each once.

    A value with commas is several lists, unless a list is known by the whole value. `headers` are
    those of the lists; clients of vcon-server send either.
    """
    values = [*query.ingress_lists, query.ingress_list, *(each or "" for each in headers)]
    names = (
        name.strip()
        for value in values
        for name in ([value] if value in known else value.split(","))
    )
    return [name for name in dict.fromkeys(names) if name]


async def post_vcon(request: Request[Lists]) -> Response:
    """Store a vCon, queue it in each list; 201 with the vCon as stored."""
    headers = [request.header("ingress_list"), request.header("ingress_lists")]
    lists = lists_named(request.query, headers, request.pipeline.ingress_lists)
    taken = await request.pipeline.internal.take(
        (await request.body()).content,
        lists,
        None,
        idempotency_key=idempotency_key(request),
        any_list=request.settings.api_any_list,
    )
    return json_text(taken.document, 201)


def idempotency_key(request: Request[Any]) -> str | None:
    """The header `Idempotency-Key`; None without it, or if it is empty."""
    return (request.header("idempotency-key") or "").strip() or None
