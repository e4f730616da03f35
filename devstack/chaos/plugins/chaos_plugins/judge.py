"""An async link that halts the vCons whose subject says so."""

import asyncio
import time
from typing import Any

from lib.vcon_redis import AsyncVconRedis

from .behaviour import note, present, some_time

BLOCKED_SECONDS = 1000


async def run(vcon_uuid: str, link_name: str, opts: dict[str, Any]) -> str | None:
    """The same uuid, or None to halt."""
    vcon = present(await AsyncVconRedis().get_vcon_dict(vcon_uuid), vcon_uuid)
    note(opts["folder"], "began", link_name, vcon_uuid)
    if vcon["subject"] == "block":
        time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251 -- that is what it is for
    if vcon["subject"] == "cancel" and (task := asyncio.current_task()):
        task.cancel()
    await asyncio.sleep(some_time(opts))
    note(opts["folder"], "ended", link_name, vcon_uuid)
    return None if vcon["subject"] == "halt" else vcon_uuid
