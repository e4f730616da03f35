"""Fields of a vCon, as storages need them; see `schemas.uuids` for the accepted uuids."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from pipeline.vcon.normalization import created_at_epoch
from schemas.uuids import canonical_uuid, required_uuid

__all__ = ["canonical_uuid", "required_uuid"]


def created_at(vcon_dict: dict[str, Any]) -> datetime | None:
    """`created_at` in UTC, from any format in use; None if it cannot be parsed."""
    seconds = created_at_epoch(vcon_dict)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def day_folder(moment: datetime) -> str:
    """`YYYY/MM/DD` in the moment's own time zone; the year always has four digits."""
    return f"{moment.year:04}/{moment:%m/%d}"  # %Y has no leading zeros on Linux


def document_hash(vcon_dict: dict[str, Any]) -> str:
    """vcon-server's `Vcon.hash`: SHA-256 in hex of the document as Python's `json` writes it.

    It is not a canonical form: the order of members and their spelling count.
    """
    return hashlib.sha256(json.dumps(vcon_dict).encode()).hexdigest()


async def hash_of(vcon_dict: dict[str, Any]) -> str:
    """`document_hash` in a thread: a vCon may have hundreds of megabytes."""
    return await asyncio.to_thread(document_hash, vcon_dict)
