"""Handlers that read, find, index and delete vCons."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import Field, TypeAdapter
from starlette.responses import Response

from core.errors import UnknownNameError
from core.operation_interfaces import MOST_UUIDS, MOST_VCONS
from http_api.answers import empty, json_response, json_text
from http_api.errors import refusal
from http_api.handlers.auditing import audit
from http_api.handlers.storage_time import storage_time
from http_api.request import Request
from http_api.routing import Query

_UUID = TypeAdapter(UUID)
NOTHING_SEARCHED = "At least one search parameter must be provided"


class Page(Query):
    """A page of the listing, by number."""

    page: int = Field(1, ge=1, description="Number of the page.")
    size: int = Field(50, ge=1, le=MOST_UUIDS, description="uuids of a page.")
    since: datetime | None = Field(None, description="Earliest `created_at`, in whole seconds.")
    until: datetime | None = Field(None, description="Latest `created_at`, that second included.")


class Uuids(Query):
    """The vCons to read."""

    vcon_uuids: list[UUID] = Field([], max_length=MOST_VCONS, description="uuids: repeated.")


class Terms(Query):
    """The parties' members to search for, compared exactly; all given ones must hold."""

    tel: str = Field("", description="Phone number.")
    mailto: str = Field("", description="Mail address.")
    name: str = Field("", description="Name.")


def vcon_uuid_of(request: Request[Any]) -> str:
    """The uuid in the path, in canonical form."""
    return str(request.path_value("vcon_uuid", _UUID))


async def get_vcon(request: Request[Any]) -> Response:
    """A vCon from Redis, or else from the first storage that has it."""
    try:
        return json_text(await request.pipeline.vcon_server.text(vcon_uuid_of(request)))
    except UnknownNameError:
        return refusal(404, "vCon not found")


async def list_vcons(request: Request[Page]) -> Response:
    """Uuids by `created_at`, newest first."""
    query = request.query
    since, until = _seconds(query.since), _seconds(query.until)
    uuids = await request.pipeline.vcon_server.page(query.page, query.size, since, until)
    return json_response(uuids)


def _seconds(time: datetime | None) -> float | None:
    """Seconds since 1970; a time without an offset is one of UTC."""
    if time is None:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


async def get_vcons(request: Request[Uuids]) -> Response:
    """Many vCons in the order asked for; null for each that is unknown."""
    uuids = [str(each) for each in request.query.vcon_uuids]
    async with storage_time():
        texts = await request.pipeline.vcon_server.texts(uuids)
    return json_text(b"[%b]" % b",".join(text or b"null" for text in texts))


async def search_vcons(request: Request[Terms]) -> Response:
    """The uuids of the vCons that have all terms."""
    terms = [f"{kind}:{value}" for kind, value in request.query if value]
    if not terms:
        return refusal(400, NOTHING_SEARCHED)
    return json_response(await request.pipeline.vcon_server.search(terms))


async def delete_vcon(request: Request[Any]) -> Response:
    """Delete a vCon from Redis and every storage; 502 names what may still have it."""
    vcon_uuid = vcon_uuid_of(request)
    await audit(request, "DeleteVcon", f"vcon:{vcon_uuid}")
    deletion = await request.pipeline.vcon_server.delete(vcon_uuid)
    return refusal(502, deletion.failure_text) if deletion.failed else empty()


async def index_vcons(request: Request[Any]) -> Response:
    """Index all vCons in Redis again; their number."""
    return json_response(await request.pipeline.vcon_server.reindex())
