"""Sets the time to live of a vCon in Redis.

Reads nothing and writes nothing to the vCon. The time begins when the run has ended and no list,
dead letter or unread egress list refers to the vCon; a vCon that no storage has is lost when it
expires. It overrides the service's `VCON_REDIS_EXPIRY`. If the vCon is not in Redis, the chain
ends. Raises nothing.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lib.options import PluginOptions
from lib.plain_calls import plain_too
from lib.vcon_redis import AsyncVconRedis

only_through_lib = True
effect = "pure"
pure = True


class Options(PluginOptions):
    """Options of the link."""

    seconds: int = Field(86400, ge=1, description="the time to live")


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Returns the uuid, or None if the vCon is not in Redis."""
    exists = await AsyncVconRedis().set_expiry(vcon_uuid, Options.of(opts).seconds)
    return vcon_uuid if exists else None
