"""A vCon as it was given, as an object: gzip is unpacked, and only up to the limit."""

from collections.abc import Mapping
from typing import Any

import orjson

from core.errors import InvalidError, TooLargeError
from core.unreadable import UNREADABLE, Unreadable, loads
from pipeline.compression import MAGIC, UnpackedTooLargeError, unpacked
from schemas.packed import WANTED, packed_bytes


def parsed(content: str | bytes, most_bytes: int) -> Any:
    """What JSON says, or gzip of it.

    Raises:
        UnpackedTooLargeError: gzip of more than `most_bytes`.
        ValueError: it is neither.
    """
    if isinstance(content, bytes) and content.startswith(MAGIC):
        content = unpacked(content, most_bytes)
    return orjson.loads(content)


def as_object(given: object, most_bytes: int) -> Mapping[str, Any]:
    """A vCon given as an object, as bytes of JSON or of gzip, or as gzip in base64.

    Raises:
        InvalidError: it is none of these.
        TooLargeError: unpacked it has more than `most_bytes`.
    """
    try:
        if isinstance(given, bytes) and not given.startswith(MAGIC):
            given = _field(given)
        content = packed_bytes(given)
        document = parsed(content, most_bytes) if isinstance(content, bytes) else content
    except UnpackedTooLargeError as error:
        msg = f"the vCon has more than {most_bytes} bytes unpacked; at most so many are taken"
        raise TooLargeError(msg) from error
    except ValueError as error:
        raise InvalidError(f"vcon: {error}") from error
    if not isinstance(document, Mapping):
        raise InvalidError(f"vcon: {WANTED}")
    return document


def _field(text: bytes) -> Any:
    """The field `vcon` of a request, given as JSON text; told as if the request had been parsed."""
    fields = loads(b'[{"fields":{"vcon":%b}}]' % text)[0]["fields"]
    if isinstance(fields, Unreadable):
        raise InvalidError(UNREADABLE.format(fields.why))
    return fields["vcon"]
