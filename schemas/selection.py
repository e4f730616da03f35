"""Fields that come in pairs."""

from typing import Any


def one_of(
    vcon_uuid: str | None, vcon: dict[str, Any] | bytes | None
) -> str | dict[str, Any] | bytes:
    """Whichever of the two is given.

    Raises:
        ValueError: when none is, or both are.
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
        ValueError: naming them, when it is not so.
    """
    if sum(value is not None for value in given.values()) != 1:
        msg = f"give exactly one of {', '.join(given)}"
        raise ValueError(msg)
