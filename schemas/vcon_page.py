"""A page of the catalogue."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VconPage:
    """Some uuids, and where to go on; `cursor` is None at the end."""

    vcon_uuids: list[str]
    cursor: str | None
