"""A sync link that works for 5 ms, like one that parses or compresses."""

import time
from typing import Any


def run(vcon_uuid: str, link_name: str, opts: dict[str, Any]) -> str:
    """Use 5 ms of CPU in this thread."""
    end = time.thread_time() + 0.005
    while time.thread_time() < end:
        pass
    return vcon_uuid
