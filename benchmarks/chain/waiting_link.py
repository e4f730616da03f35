"""A link that only waits, like one that calls a remote service."""

import asyncio
from typing import Any


async def run(vcon_uuid: str, link_name: str, opts: dict[str, Any]) -> str:
    """Wait for 50 ms."""
    await asyncio.sleep(0.05)
    return vcon_uuid
