"""Handlers that read, find and delete vCons."""

from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from starlette.responses import Response

from core.errors import UnknownNameError
from http_api.answers import json_response
from http_api.errors import refusal
from http_api.request import Request

_UUID = TypeAdapter(UUID)


def vcon_uuid_of(request: Request[Any]) -> str:
    """The uuid in the path, in canonical form."""
    return str(request.path_value("vcon_uuid", _UUID))


async def get_vcon(request: Request[Any]) -> Response:
    """A vCon from Redis, or else from the first storage that has it."""
    try:
        return json_response(await request.pipeline.find_vcon(vcon_uuid_of(request), None))
    except UnknownNameError:
        return refusal(404, "vCon not found")
