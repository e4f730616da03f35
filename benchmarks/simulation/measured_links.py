"""A link that waits, and then holds the interpreter, for as long as its options say.

It holds it by the clock: on a busy machine CPU time passes more slowly, and that is not compared.
"""

import asyncio
import time
from typing import Any

default_options = {"wait": 0.0, "hold": 0.0}


async def run(vcon_uuid: str, link_name: str, opts: dict[str, Any]) -> str:
    """Wait for `wait` seconds; then hold the interpreter for `hold` seconds."""
    if opts["wait"]:
        await asyncio.sleep(opts["wait"])
    until = time.perf_counter() + opts["hold"]
    while time.perf_counter() < until:
        pass
    return vcon_uuid
