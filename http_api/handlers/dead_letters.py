"""Handlers that list dead letters and queue them again."""

from pydantic import Field
from starlette.responses import Response

from core.operation_interfaces import MOST_UUIDS
from http_api.answers import json_response
from http_api.handlers.auditing import audit
from http_api.request import Request
from http_api.routing import Query

_COUNT = Field(1000, ge=1, le=MOST_UUIDS, description="Dead letters to queue at most.")


class IngressList(Query):
    """The ingress list that the dead letters came from."""

    ingress_list: str = Field(description="The ingress list.")


class Replay(IngressList):
    """How many of them to queue again."""

    count: int = _COUNT


class StorageName(Query):
    """The storage that the dead letters were not written to."""

    storage_name: str = Field(description="The storage.")


class StorageReplay(StorageName):
    """How many of them to queue again."""

    count: int = _COUNT


async def dead_letters(request: Request[IngressList]) -> Response:
    """The uuids of an ingress list's dead letters, oldest first."""
    uuids = await request.pipeline.vcon_server.dead_letter_uuids(
        request.query.ingress_list, None, any_list=request.settings.api_any_list
    )
    return json_response(uuids)


async def reprocess(request: Request[Replay]) -> Response:
    """Queue the oldest dead letters of an ingress list again; their number."""
    name, count = request.query.ingress_list, request.query.count
    await audit(request, "ReplayDeadLetters", f"list:{name}", limit=count)
    replayed = await request.pipeline.vcon_server.replay(
        name, None, count, any_list=request.settings.api_any_list
    )
    return json_response(replayed)


async def storage_dead_letters(request: Request[StorageName]) -> Response:
    """The uuids of a storage's dead letters, oldest first."""
    name = request.query.storage_name
    return json_response(await request.pipeline.vcon_server.dead_letter_uuids(None, name))


async def storage_reprocess(request: Request[StorageReplay]) -> Response:
    """Queue the oldest dead letters of a storage again; their number."""
    name, count = request.query.storage_name, request.query.count
    await audit(request, "ReplayDeadLetters", f"storage:{name}", limit=count)
    return json_response(await request.pipeline.vcon_server.replay(None, name, count))
