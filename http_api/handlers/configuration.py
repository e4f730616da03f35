"""Handlers that show and replace the configuration."""

from typing import Any

from starlette.responses import Response

from core.errors import ForbiddenError, InvalidError
from http_api.answers import empty, json_response
from http_api.errors import problems, refusal
from http_api.handlers.auditing import AUTHOR
from http_api.request import Request

MOST_PROBLEMS = 1000
"""Problems of a configuration that an answer lists at most."""


async def get_config(request: Request[Any]) -> Response:
    """The running configuration, with masks for secrets."""
    return json_response(await request.pipeline.configuration_admin.masked())


async def post_config(request: Request[Any]) -> Response:
    """Replace the configuration file; audited by the pipeline, once it is found valid."""
    if not request.settings.admin_actions:
        raise ForbiddenError("POST /config is off; ADMIN_ACTIONS=true turns it on")
    content = (await request.body()).content
    try:
        await request.pipeline.configuration_admin.replace(content, AUTHOR)
    except InvalidError as error:
        return refusal(422, problems(error, MOST_PROBLEMS))
    return empty()
