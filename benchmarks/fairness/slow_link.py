"""A link that waits for 30 s, like one that calls a receiver that does not answer."""

import asyncio
from typing import Any


async def run(vcon_uuid: str, link_name: str, opts: dict[str, Any]) -> str:
    """Wait for 30 s."""
    await asyncio.sleep(30)
    return vcon_uuid
