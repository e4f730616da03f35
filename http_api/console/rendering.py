"""HTML out of `templates/`: every value is escaped, and one that is missing is an error."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from http_api.console import charts, words
from http_api.console.static_files import url_of

FOLDER = Path(__file__).parent / "templates"
_TIME = Markup('<time datetime="{}">{}</time>')
_WHEN = Markup('<time datetime="{}">{} <span class="ago">{}</span></time>')


def address(path: str, **parameters: object) -> str:
    """A path of the console with these query parameters; those that are None or empty are left out.

    Everything is quoted, so names may have any characters.
    """
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    query = f"?{urlencode(given, errors='replace')}" if given else ""
    return quote(path, safe="/", errors="replace") + query


def exact(value: object) -> Markup:
    """A value of a hidden field, which must come back as it is: escaped, and not cut."""
    return escape(str(value).encode("utf-8", "replace").decode())


def when(value: object) -> Markup:
    """A time, absolute and relative."""
    found = words.moment(value)
    if found is None:
        return escape(words.NONE)
    now = datetime.fromtimestamp(time.time(), UTC)
    is_today = found.date() == now.date()
    text = f"{found:%H:%M:%S}" if is_today else f"{found:%Y-%m-%d %H:%M:%S}"
    return _WHEN.format(f"{found:%Y-%m-%dT%H:%M:%SZ}", text, words.ago(found, now))


def day(value: object) -> Markup:
    """A date."""
    found = words.moment(value)
    if found is None:
        return escape(words.NONE)
    text = f"{found:%Y-%m-%d}"
    return _TIME.format(text, text)


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=words.shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "number": words.number,
        "size": words.size,
        "share": words.share,
        "duration": words.duration,
        "short": words.short,
        "exact": exact,
        "when": when,
        "day": day,
    }
    made.globals |= {"static": url_of, "address": address, "charts": charts, "dash": words.NONE}
    return made


_TEMPLATES = _environment()


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """The page as UTF-8."""
    text = _TEMPLATES.get_template(template).render(values)
    return text.encode("utf-8", "replace")
