from datetime import UTC, datetime
from typing import Any

from pipeline.vcon.normalization import created_at_epoch
from schemas.uuids import canonical_uuid, required_uuid

# Which texts storages take for the uuid of a vCon.

__all__ = ["canonical_uuid", "required_uuid"]


def created_at(vcon_dict: dict[str, Any]) -> datetime | None:
    """When a vCon was made, in UTC, from any form of that in use; None if it cannot be read."""
    seconds = created_at_epoch(vcon_dict)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def day_folder(moment: datetime) -> str:
    """`YYYY/MM/DD` of the moment's own time zone; the year always has four digits."""
    return f"{moment.year:04}/{moment:%m/%d}"  # %Y leaves out leading zeros on Linux
