"""A storage that is down while a file called `<name>.down` lies in its folder."""

import time
from pathlib import Path
from typing import Any

from lib.vcon_redis import VconRedis

from .behaviour import note, present, some_time

WORK_OF_LINKS = {"mark", "tags"}
"""The purposes of the attachments that a vCon has when its links have run."""


def save(vcon_uuid: str, opts: dict[str, Any]) -> None:
    """Keep a vCon: a line in the ledger says so.

    Raises:
        ConnectionError: while it is down.
    """
    vcon = present(VconRedis().get_vcon_dict(vcon_uuid), vcon_uuid)
    if (Path(opts["folder"]) / f"{opts['name']}.down").exists():
        msg = f"{opts['name']} is down"
        raise ConnectionError(msg)
    time.sleep(some_time(opts))
    if not {entry.get("purpose") for entry in vcon["attachments"]} >= WORK_OF_LINKS:
        note(opts["folder"], "bare", opts["name"], vcon_uuid)
    note(opts["folder"], "saved", opts["name"], vcon_uuid)
