"""A page of uuids of vCons."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VconPage:
    """Some uuids; `cursor` is that of the next page, None at the end."""

    vcon_uuids: list[str]
    cursor: str | None
