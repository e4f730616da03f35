"""Waits before the chain continues.

Reads and writes nothing. Other vCons are processed meanwhile. If the worker stops during the wait,
the next attempt waits for the full time again. Raises nothing.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lib.options import PluginOptions
from lib.plain_calls import plain_too

only_through_lib = True
effect = "pure"
pure: bool = False  # a trial does not wait
no_default_timeout = True


class Options(PluginOptions):
    """Options of the link."""

    seconds: float = Field(5, description="how long to wait; a negative value counts as 0")


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str:
    """Returns the uuid after the wait."""
    await asyncio.sleep(max(Options.of(opts).seconds, 0))
    return vcon_uuid
