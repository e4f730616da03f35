"""Which values that `${NAME}` has brought into the configuration are secrets.

Everything is, unless the name of the variable or of the option says that it is none, or it is a
setting of the service that is none, or the value is a number or a plain word: of two mistakes, a
log line with `[redacted]` in it does less harm.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from core.observability.redaction import names_a_secret
from core.settings import Settings
from pipeline.config.environment import Filled

LONG_SEGMENT = 20
"""A part of a URL's path that is as long as this, with letters and digits, is a secret, too."""

_OPEN = re.compile(
    r"(?:^|[_.-])(?:host|hostname|port|address|addr|region|zone|model|bucket|index|database|db"
    r"|schema|table|collection|user|username|name|path|dir|directory|folder|file|filename|env"
    r"|environment|level|mode|timeout|seconds|interval|limit|size|count|version|language|lang"
    r"|format|type|prefix|suffix|topic|queue|list|lists|domain|project|stage|module|enabled)$",
    re.IGNORECASE,
)
_SETTINGS = frozenset(
    name.upper()
    for name, setting in Settings.model_fields.items()
    if "Secret" not in str(setting.annotation)
)
_PLAIN = re.compile(r"[a-z]+|[A-Z]+|[-+]?[\d.]+|")


def secret_values(filled: Iterable[Filled]) -> Iterator[str]:
    """The secrets among these: whole values, and of a URL its parts that let someone in."""
    for each in filled:
        if names_a_secret(each.name) or names_a_secret(each.key):
            yield each.value
        elif "://" in each.value:
            yield from _in_url(each.value)
        elif each.name in _SETTINGS:
            continue
        elif not (_OPEN.search(each.name) or _OPEN.search(each.key) or _is_plain(each.value)):
            yield each.value


def _is_plain(value: str) -> bool:
    return _PLAIN.fullmatch(value) is not None


def _in_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:  # no URL as others have it
        yield url
        return
    yield from (text for text in (password,) if text)
    yield from (part for part in parts.path.split("/") if _is_long(part))


def _is_long(part: str) -> bool:
    letters, digits = any(map(str.isalpha, part)), any(map(str.isdigit, part))
    return len(part) >= LONG_SEGMENT and letters and digits
