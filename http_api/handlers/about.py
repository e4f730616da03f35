"""`/version` and `/health`: what answers, without asking Redis or Postgres."""

from typing import Any

from starlette.responses import Response

from core.settings import Settings
from http_api.answers import json_response
from http_api.request import Request


def _version(settings: Settings) -> dict[str, str]:
    return {
        "version": settings.vcon_server_version,
        "git_commit": settings.vcon_server_git_commit,
        "build_time": settings.vcon_server_build_time,
    }


async def version(request: Request[Any]) -> Response:
    """The version, as the settings name it."""
    return json_response(_version(request.settings))


async def health(request: Request[Any]) -> Response:
    """200 for as long as the process answers; readiness is on the health port."""
    return json_response({"status": "healthy", "version": _version(request.settings)})
