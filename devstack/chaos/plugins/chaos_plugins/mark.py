"""A sync link in vcon-server's manner: reads the vCon, takes its time, leaves a mark, writes it."""

import os
import time
from typing import Any

from lib.vcon_redis import VconRedis

from .behaviour import CALLED, note, present, some_time, suffer


def run(vcon_uuid: str, link_name: str, opts: dict[str, Any]) -> str:
    """The same uuid; the mark is an attachment with this process's id."""
    note(opts["folder"], CALLED, link_name, vcon_uuid)
    vcon = present(VconRedis().get_vcon_dict(vcon_uuid), vcon_uuid)
    note(opts["folder"], "began", link_name, vcon_uuid)
    try:
        suffer(vcon["subject"], opts["folder"])
        time.sleep(some_time(opts))
        vcon["attachments"].append(
            {"purpose": "mark", "body": str(os.getpid()), "encoding": "none"}
        )
        VconRedis().store_vcon_dict(vcon, ttl=opts["ttl"] or None)
    finally:
        note(opts["folder"], "ended", link_name, vcon_uuid)
    return vcon_uuid
