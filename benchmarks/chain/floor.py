"""The floor: a loop with `redis-py` that does the minimum for the chain tag, tag, egress.

BLPOP, JSON.GET, two tags, JSON.SET, RPUSH, and optionally a file or a row over one connection. No
checkpoint, fencing, run record or error handling.

Run as a program: `python -m benchmarks.chain.floor COUNT none|file|postgres TARGET`. Prints the
seconds and CPU seconds it took.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import redis

from benchmarks.chain.names import EGRESS, INGRESS, STARTED

Write = Callable[[str, dict[str, Any]], None]

UPSERT = """
INSERT INTO floor (id, vcon, uuid, created_at, subject, vcon_json)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE
SET vcon = excluded.vcon, subject = excluded.subject, vcon_json = excluded.vcon_json
"""


def add_tag(vcon: dict[str, Any], tag: str) -> None:
    """Add one tag in vcon-server's format."""
    for attachment in vcon["attachments"]:
        if attachment.get("purpose") == "tags":
            tags = [*json.loads(attachment["body"]), tag]
            attachment["body"] = json.dumps(tags)
            return
    vcon["attachments"].append({"purpose": "tags", "body": json.dumps([tag]), "encoding": "json"})


def no_write(vcon_uuid: str, vcon: dict[str, Any]) -> None:
    """A chain without a storage."""


def file_writer(folder: str) -> Write:
    """One file per vCon."""

    def write(vcon_uuid: str, vcon: dict[str, Any]) -> None:
        Path(folder, f"{vcon_uuid}.json").write_text(json.dumps(vcon))

    return write


def row_writer(url: str) -> Write:
    """One row per vCon, over one connection."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS floor (id uuid PRIMARY KEY, vcon text, uuid uuid, "
        "created_at timestamptz, updated_at timestamptz, subject text, vcon_json jsonb)"
    )

    def write(vcon_uuid: str, vcon: dict[str, Any]) -> None:
        text = json.dumps(vcon)
        row = (vcon_uuid, text, vcon_uuid, vcon["created_at"], vcon.get("subject"), text)
        connection.execute(UPSERT, row)

    return write


def main() -> None:
    """Process COUNT vCons."""
    count, storage, target = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    writers: dict[str, Callable[[str], Write]] = {
        "none": lambda _: no_write,
        "file": file_writer,
        "postgres": row_writer,
    }
    write = writers[storage](target)
    client: Any = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    client.rpush(STARTED, "floor")
    began = None
    for _ in range(count):
        _, vcon_uuid = client.blpop([INGRESS], 30)
        began = began or (time.perf_counter(), time.process_time())
        key = f"vcon:{vcon_uuid}"
        vcon = client.json().get(key)
        add_tag(vcon, "one:one")
        add_tag(vcon, "two:two")
        client.json().set(key, "$", vcon)
        write(vcon_uuid, vcon)
        client.rpush(EGRESS, vcon_uuid)
    assert began is not None
    seconds, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    print(json.dumps({"seconds": seconds, "cpu": cpu}))


if __name__ == "__main__":
    main()
