"""Handlers that read egress lists and the lengths of lists."""

from pydantic import Field
from starlette.responses import Response

from core.errors import UnknownNameError
from core.operation_interfaces import MOST_UUIDS
from http_api.answers import json_response
from http_api.errors import refusal
from http_api.request import Request
from http_api.routing import Query

MOST_ACKNOWLEDGED = 10_000
"""uuids in one request."""


class EgressList(Query):
    """An egress list."""

    egress_list: str = Field(description="The egress list.")


class Reading(EgressList):
    """How much of it to take, and for how long."""

    limit: int = Field(1, ge=0, description="uuids to take at most.")
    lease_seconds: int | None = Field(
        None,
        ge=1,
        le=86_400,
        description="The uuids return to the list after this time, unless acknowledged; unset: "
        "they are taken for good.",
    )


class ListName(Query):
    """Any list of the configuration."""

    list_name: str = Field(description="An ingress list, egress list or dead-letter list.")


async def read_egress(request: Request[Reading]) -> Response:
    """The oldest uuids of an egress list, which are taken out of it."""
    query, vcon_server = request.query, request.pipeline.vcon_server
    limit, any_list = min(query.limit, MOST_UUIDS), request.settings.api_any_list
    if query.lease_seconds is None:
        return json_response(await vcon_server.pop(query.egress_list, limit, any_list=any_list))
    uuids = await vcon_server.lease(
        query.egress_list, limit, query.lease_seconds, any_list=any_list
    )
    return json_response(uuids)


async def acknowledge(request: Request[EgressList]) -> Response:
    """End the leases of the uuids in the body; how many were leased."""
    uuids = await request.uuids(MOST_ACKNOWLEDGED)
    count = await request.pipeline.vcon_server.acknowledge(
        request.query.egress_list, uuids, any_list=request.settings.api_any_list
    )
    return json_response(count)


async def count_egress(request: Request[EgressList]) -> Response:
    """The length of an egress list."""
    return json_response(await _depth(request, request.query.egress_list))


async def queue_stats(request: Request[ListName]) -> Response:
    """The length of a list, without a token: a refusal does not tell which lists there are."""
    name = request.query.list_name
    try:
        return json_response({"list_name": name, "depth": await _depth(request, name)})
    except UnknownNameError:
        return refusal(404, f"Unknown list: {name}")


async def _depth(request: Request[EgressList] | Request[ListName], name: str) -> int:
    any_list = request.settings.api_any_list
    return await request.pipeline.vcon_server.depth(name, any_list=any_list)
