"""A vCon in a request: the object itself, or gzip of it in base64."""

from base64 import b64decode
from typing import Annotated, Any

from pydantic import BeforeValidator

WANTED = "expected an object, or gzip of one as base64"
_GZIP = b"\x1f\x8b"


def packed_bytes(value: object) -> object:
    """Base64 or base64url of a gzip file as its bytes; any value but text is returned unchanged.

    Raises:
        ValueError: for any other text.
    """
    if not isinstance(value, str):
        return value
    digits = value.strip().rstrip("=").translate(str.maketrans("+/", "-_"))
    try:
        content = b64decode(digits + "=" * (-len(digits) % 4), b"-_", validate=True)
    except ValueError:
        content = b""
    if not content.startswith(_GZIP):
        raise ValueError(WANTED)
    return content


GivenVcon = Annotated[dict[str, Any] | bytes, BeforeValidator(packed_bytes)]
"""A field of an action that also takes the uuid of a vCon as text."""
