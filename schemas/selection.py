"""Checks of fields of which exactly one must be given."""

from typing import Any


def one_of(
    vcon_uuid: str | None, vcon: dict[str, Any] | bytes | None
) -> str | dict[str, Any] | bytes:
    """The one of the two that is given.

    Raises:
        ValueError: none is given, or both are.
    """
    if vcon_uuid is not None and vcon is None:
        return vcon_uuid
    if vcon is not None and vcon_uuid is None:
        return vcon
    msg = "give either vcon_uuid or vcon"
    raise ValueError(msg)


def exactly_one(**given: object) -> None:
    """Check that one of several fields is given, and no more.

    Raises:
        ValueError: none or several are given; the text names the fields.
    """
    if sum(value is not None for value in given.values()) != 1:
        msg = f"give exactly one of {', '.join(given)}"
        raise ValueError(msg)
