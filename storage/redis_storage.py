"""Keeps vCons for a time in the service's own Redis, beside those under way.

A vCon is the text `PREFIX:UUID`, its JSON, and goes after `expires` seconds; saving again starts
anew. Reads the vCon, which is kept in the form of EGRESS_FORMAT_VERSION; writes nothing on it.
Raises `LookupError` for a vCon that is not in Redis, `ValueError` for a text that is not a uuid,
and what Redis raises when it is away.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import Field

from lib.options import GuestOptions
from lib.redis_mgr import get_client
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_fields import required_uuid
from lib.vcon_redis import VconRedis

only_through_lib = True


class Options(GuestOptions):
    """Under which names, and for how long."""

    prefix: str = Field("vcon_storage", min_length=1, description="what the names begin with")
    expires: int = Field(604_800, gt=0, description="seconds until a vCon goes")

    def key(self, vcon_uuid: str) -> str:
        """The name of a vCon."""
        return f"{self.prefix}:{required_uuid(vcon_uuid)}"


type Given = Mapping[str, Any] | Options | None


def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon as it is now."""
    options = Options.of(opts)
    document = VconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    text = orjson.dumps(to_configured_legacy(document))
    get_client().set(options.key(vcon_uuid), text, ex=options.expires)


def get(vcon_uuid: str, opts: Given = None) -> dict[str, Any] | None:
    """The vCon as it was saved last, or None."""
    found = get_client().get(Options.of(opts).key(vcon_uuid))
    document = orjson.loads(found) if found else None
    return document if isinstance(document, dict) else None


def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Remove the vCon; False when it was not there."""
    return bool(get_client().delete(Options.of(opts).key(vcon_uuid)))
