"""Waits before the chain goes on.

Reads and writes nothing, on whichever vCon. Other vCons go on meanwhile. A worker that stops in the
middle of a wait leaves it to the next one, which waits anew. Raises nothing.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lib.options import GuestOptions
from lib.plain_calls import plain_too

only_through_lib = True
no_default_timeout = True


class Options(GuestOptions):
    """How long."""

    seconds: float = Field(5, description="how long to wait; less than 0 is 0")


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str:
    """The uuid, after a while."""
    await asyncio.sleep(max(Options.of(opts).seconds, 0))
    return vcon_uuid
