"""Reads the answers of vendors, which may be of another kind than their documents say.

A proxy, another version or another server may answer 2xx with any JSON. What a plugin does with a
member of the wrong type fails somewhere; that is an error of the vendor, not of the plugin.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from lib.web.http_retry import VendorError

MOST_NAMES = 8
_NAME = re.compile(r"[A-Za-z_]{1,40}", re.ASCII)
"""A name of a member that is shown; others may be a name or number of a person."""
_OF_TYPES = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError)
_KINDS = ((type(None), "null"), (bool, "a boolean"), (int | float, "a number"), (str, "a text"))


@contextmanager
def reading(server: str, what: str, body: Any) -> Iterator[None]:
    """Errors of wrong types, raised while `body` is read, become one that names the server.

    Only for code that does nothing but read: it must not call plugins' own functions with effects.

    Raises:
        VendorError: with the kind of the body, not its content, which may be personal data.
    """
    try:
        yield
    except _OF_TYPES as error:
        raise malformed(server, what, body, type(error).__name__) from None


def malformed(server: str, what: str, body: Any, detail: str = "") -> VendorError:
    """The error of an answer that is not `what` was expected."""
    told = f" ({detail})" if detail else ""
    return VendorError(f"{server} answered without {what}, but with {kind_of(body)}{told}")


def kind_of(body: Any) -> str:
    """What kind of JSON a value is; of an object the names of its members."""
    if isinstance(body, dict):
        names = [each for each in body if isinstance(each, str) and _NAME.fullmatch(each)]
        told = f" with {', '.join(names[:MOST_NAMES])}" if names else ""
        return f"an object{told}" if body else "an empty object"
    if isinstance(body, list):
        return f"a list of {len(body)}"
    return next((told for kind, told in _KINDS if isinstance(body, kind)), "something else")


def stored_vcon(server: str, text: object) -> dict[str, Any] | None:
    """The vCon that a server has kept as JSON text; None for no text, or for another value.

    Raises:
        VendorError: the text is no JSON.
    """
    if not isinstance(text, str | bytes) or not text:
        return None
    with reading(server, "the JSON that was stored", text):
        found = orjson.loads(text)
    return found if isinstance(found, dict) else None
