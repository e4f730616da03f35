"""`/docs` (Swagger UI), `/redoc` (ReDoc), the files of both, and `/openapi.json`.

The pages make no request to another host: their files come from the distribution
drf-spectacular-sidecar, of which no code is imported, and their Content-Security-Policy lets a
browser load and call this host only. References are relative, so the pages work below any prefix
that a proxy adds or removes.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from starlette.responses import Response

from http_api.answers import JSON
from http_api.errors import refusal
from http_api.request import Request

DISTRIBUTION = "drf-spectacular-sidecar"
FOLDER = "drf_spectacular_sidecar/static/drf_spectacular_sidecar"

CSS = "text/css"
HTML = "text/html"
JAVASCRIPT = "text/javascript"

PACKAGED: Mapping[str, tuple[str, str]] = {
    "swagger-ui.css": ("swagger-ui-dist", CSS),
    "swagger-ui-bundle.js": ("swagger-ui-dist", JAVASCRIPT),
    "favicon-32x32.png": ("swagger-ui-dist", "image/png"),
    "redoc.standalone.js": ("redoc/bundles", JAVASCRIPT),
}
"""The files of the distribution that the pages use: the folder and the media type of each."""
LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
"""ReDoc's only reference to another host, which it does not need; it is taken out."""

OWN: Mapping[str, tuple[str, str]] = {
    "start.js": (
        """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
""",
        JAVASCRIPT,
    ),
    "redoc.css": ("body { margin: 0; }\n", CSS),
}
"""Our own files, because the policy allows no script inside a page."""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Patchcord HTTP API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/{style}">
</head>
<body>
{content}
</body>
</html>
"""
SWAGGER_UI = _PAGE.format(
    style="swagger-ui.css",
    content="""\
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>""",
)
REDOC = _PAGE.format(
    style="redoc.css",
    content="""\
<redoc spec-url="openapi.json"></redoc>
<script src="docs/redoc.standalone.js"></script>""",
)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REDOC_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(
    "connect-src", "worker-src blob:; connect-src"
)
"""ReDoc writes style elements, and searches in a worker that it makes of its own text."""
SHARED = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class File(NamedTuple):
    """What is sent for a path."""

    content: bytes
    media_type: str
    headers: Mapping[str, str]
    tag: str


def file_of(content: bytes, media_type: str, headers: Mapping[str, str]) -> File:
    """Content with its entity tag."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return File(content, media_type, {**SHARED, "ETag": tag, **headers}, tag)


def page(html: str, policy: str) -> File:
    """A page; browsers ask each time whether it has changed."""
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return file_of(html.encode(), HTML, headers)


@cache
def description(content: bytes) -> File:
    """The OpenAPI document, encoded."""
    return file_of(content, JSON, {"Cache-Control": "no-cache"})


@cache
def asset(name: str) -> File:
    """A file that the pages load; browsers keep it for an hour."""
    if name in OWN:
        text, media_type = OWN[name]
        content = text.encode()
    else:
        folder, media_type = PACKAGED[name]
        place = metadata.distribution(DISTRIBUTION).locate_file(f"{FOLDER}/{folder}/{name}")
        content = Path(str(place)).read_bytes().replace(LOGO, b"data:,")
    return file_of(content, media_type, {"Cache-Control": "public, max-age=3600"})


PAGES = {"/docs": page(SWAGGER_UI, POLICY), "/redoc": page(REDOC, REDOC_POLICY)}


async def swagger_ui(request: Request[Any]) -> Response:
    """The page of Swagger UI."""
    return sent(request, PAGES["/docs"])


async def redoc(request: Request[Any]) -> Response:
    """The page of ReDoc."""
    return sent(request, PAGES["/redoc"])


async def openapi(request: Request[Any]) -> Response:
    """The OpenAPI document, which was made at the start."""
    return sent(request, description(request.context.openapi))


_NAME = TypeAdapter(str)


async def page_file(request: Request[Any]) -> Response:
    """A file of the pages."""
    name = request.path_value("name", _NAME)
    if name not in OWN and name not in PACKAGED:
        return refusal(404, "Not Found")
    return sent(request, asset(name))


def sent(request: Request[Any], file: File) -> Response:
    """The file, or 304 if the client has it already."""
    known = (request.header("if-none-match") or "").split(",")
    if any(each.strip().removeprefix("W/") in (file.tag, "*") for each in known):
        return Response(status_code=304, headers=file.headers)
    return Response(file.content, headers=file.headers, media_type=file.media_type)
