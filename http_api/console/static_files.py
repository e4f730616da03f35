"""The script, the style sheet and the icon of the pages, under names with a hash of their content.

htmx comes from the files of the distribution django-htmx, of which no code is imported. A changed
file has another name, so browsers keep each for a year and never ask again.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
DISTRIBUTION = "django-htmx"
HTMX = "django_htmx/static/django_htmx/htmx-2.min.js"
PREFIX = "/console/static/"
TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
}


class StaticFile(NamedTuple):
    """One file."""

    name: str
    """With the hash."""
    content: bytes
    media_type: str


@cache
def files() -> Mapping[str, StaticFile]:
    """All files by their names without the hash."""
    contents = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir())}
    place = metadata.distribution(DISTRIBUTION).locate_file(HTMX)
    contents["htmx.js"] = Path(str(place)).read_bytes()
    return {name: _file(name, content) for name, content in contents.items()}


def _file(name: str, content: bytes) -> StaticFile:
    stem, _, kind = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:16]
    return StaticFile(f"{stem}.{digest}.{kind}", content, TYPES[kind])


@cache
def _by_hashed_name() -> Mapping[str, StaticFile]:
    return {file.name: file for file in files().values()}


def url_of(name: str) -> str:
    """The path of a file."""
    return f"{PREFIX}{files()[name].name}"


def static_answer(hashed_name: str) -> Response | None:
    """The file with this name; None if there is none."""
    file = _by_hashed_name().get(hashed_name)
    if file is None:
        return None
    return Response(file.content, headers=HEADERS, media_type=file.media_type)
