"""Stores vCons for a limited time in the service's own Redis, under keys of their own.

A vCon is a string with the key `PREFIX:UUID`, its JSON, and expires after `expires` seconds; saving
again restarts that time. Reads the vCon, which is stored in the format EGRESS_FORMAT_VERSION;
writes nothing to it. Raises `LookupError` for a vCon that is not in Redis, `ValueError` for an id
that is not a uuid, and the client's errors if Redis cannot be reached.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import Field

from lib.options import PluginOptions
from lib.redis_mgr import get_client
from lib.vcon.fields import required_uuid
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import VconRedis

only_through_lib = True
effect = "idempotent"


class Options(PluginOptions):
    """Options of the storage."""

    prefix: str = Field("vcon_storage", min_length=1, description="the prefix of the keys")
    expires: int = Field(604_800, gt=0, description="the time to live in seconds")

    def key(self, vcon_uuid: str) -> str:
        """The Redis key of a vCon."""
        return f"{self.prefix}:{required_uuid(vcon_uuid)}"


type Given = Mapping[str, Any] | Options | None


def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vCon's current content."""
    options = Options.of(opts)
    document = VconRedis().required_vcon_dict(vcon_uuid)
    text = orjson.dumps(to_configured_legacy(document))
    get_client().set(options.key(vcon_uuid), text, ex=options.expires)


def get(vcon_uuid: str, opts: Given = None) -> dict[str, Any] | None:
    """The vCon as last saved, or None."""
    found = get_client().get(Options.of(opts).key(vcon_uuid))
    document = orjson.loads(found) if found else None
    return document if isinstance(document, dict) else None


def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the vCon; False if there was none."""
    return bool(get_client().delete(Options.of(opts).key(vcon_uuid)))
