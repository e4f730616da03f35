"""Lets a vCon go from Redis some time after nobody needs it there any more.

Reads nothing and writes nothing on the vCon. Its time begins when the run has ended and no list,
dead letter or unread egress holds it, also where no storage has it: then it is gone. It goes before
the service's own `VCON_REDIS_EXPIRY`. A vCon that is not there ends the run. Raises nothing.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lib.options import GuestOptions
from lib.plain_calls import plain_too
from lib.vcon_redis import AsyncVconRedis

only_through_lib = True


class Options(GuestOptions):
    """How long."""

    seconds: int = Field(86400, ge=1, description="how long it stays")


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """The uuid, or None when there is no such vCon."""
    there = await AsyncVconRedis().set_expiry(vcon_uuid, Options.of(opts).seconds)
    return vcon_uuid if there else None
