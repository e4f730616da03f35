"""UUIDs in the forms that callers and writers of vCons use."""

import re
from typing import Annotated

from pydantic import AfterValidator

_UUID = re.compile(
    r"(?:urn:uuid:)?(\{)?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})"
    r"(?(1)\})",
    re.IGNORECASE | re.ASCII,
)


def canonical_uuid(value: object) -> str | None:
    """A UUID in lower case with hyphens, from any usual form of it; None when it is no UUID."""
    # uuid.UUID() is not used: it takes hyphens, braces and even underscores wherever they stand.
    match = _UUID.fullmatch(value) if isinstance(value, str) else None
    return "-".join(match.groups()[1:]).lower() if match else None


def required_uuid(value: str) -> str:
    """The canonical form of a UUID.

    Raises:
        ValueError: the text is no UUID.
    """
    uuid = canonical_uuid(value)
    if uuid is None:
        msg = f"not a uuid: {value!r:.80}"
        raise ValueError(msg)
    return uuid


Uuid = Annotated[str, AfterValidator(required_uuid)]
"""A field of an action: any usual form of a UUID comes in, the canonical form is kept."""
