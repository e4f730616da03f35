"""Which texts storages take for the uuid of a vCon."""

from schemas.uuids import canonical_uuid, required_uuid

__all__ = ["canonical_uuid", "required_uuid"]
