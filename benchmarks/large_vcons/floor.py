"""The floor: a program that reads a vCon, adds a tag and writes it, 8 at once.

Each of eight threads: BLPOP, JSON.GET, one tag, JSON.SET of the whole document or of
`$.attachments`, a file or `put_object`, RPUSH. It has no checkpoint, fencing, run record or error
handling. `benchmarks.http.floor` takes the vCons in for it.

Run as a program: `python -m benchmarks.large_vcons.floor file|s3 TARGET whole|path`.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import redis

from benchmarks.chain.floor import add_tag
from benchmarks.large_vcons.names import AT_ONCE, BUCKET, EGRESS, INGRESS, S3_KEYS

type Write = Callable[[str, str], object]


def file_writer(folder: str) -> Write:
    """One file for each vCon."""
    return lambda name, text: Path(folder, f"{name}.json").write_text(text)


def object_writer(url: str) -> Write:
    """One object for each vCon, over kept connections."""
    client: Any = boto3.session.Session().client(
        "s3", endpoint_url=url, region_name="us-east-1", **S3_KEYS
    )
    return lambda name, text: client.put_object(Bucket=BUCKET, Key=name, Body=text.encode())


def work(write: Write, *, whole: bool) -> None:
    """Process vCons until the end of the process."""
    client: Any = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    while True:
        popped = client.blpop([INGRESS], 60)
        if popped is None:
            return
        vcon_uuid = popped[1]
        key = f"vcon:{vcon_uuid}"
        vcon = client.json().get(key)
        add_tag(vcon, "one:one")
        if whole:
            client.json().set(key, "$", vcon)
        else:
            client.json().set(key, "$.attachments", vcon["attachments"])
        write(vcon_uuid, json.dumps(vcon))
        client.rpush(EGRESS, vcon_uuid)


def main() -> None:
    """Work in eight threads."""
    storage, target, how = sys.argv[1:]
    write = file_writer(target) if storage == "file" else object_writer(target)
    working = partial(work, write, whole=how == "whole")
    for _ in range(AT_ONCE - 1):
        threading.Thread(target=working, daemon=True).start()
    working()


if __name__ == "__main__":
    main()
