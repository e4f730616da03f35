"""Answers: JSON by orjson."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

JSON = "application/json"
CUSTODY_HEADER = "X-Vcon-Custody"


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A value as JSON."""
    return json_text(orjson.dumps(value, default=str), status, headers)


def json_text(text: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that is encoded already."""
    return Response(text, status, headers, media_type=JSON)


def empty(headers: Mapping[str, str] | None = None) -> Response:
    """204 without a body."""
    return Response(status_code=204, headers=headers)
