"""Reproducible vCons of 1 to 20 kB for the benchmarks."""

import json
import random
import uuid
from typing import Any


def made_up_vcons(
    count: int, seed: int = 7, sizes: tuple[int, int] = (1_000, 20_000)
) -> list[dict[str, Any]]:
    """`count` distinct vCons, evenly distributed over 1 to 20 kB of JSON, or other sizes."""
    rng, (least, most) = random.Random(seed), sizes
    span = most - least
    return [_vcon(rng, least + span * index // max(count - 1, 1)) for index in range(count)]


def _vcon(rng: random.Random, size: int) -> dict[str, Any]:
    vcon: dict[str, Any] = {
        "vcon": "0.4.0",
        "uuid": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "created_at": "2026-01-05T10:00:00+00:00",
        "parties": [{"tel": "+15550100", "name": "Ada"}, {"tel": "+15550101", "name": "Ben"}],
        "dialog": [],
        "analysis": [],
        "attachments": [],
    }
    while len(json.dumps(vcon)) < size:
        vcon["dialog"].append(
            {
                "type": "text",
                "start": "2026-01-05T10:00:00+00:00",
                "parties": [len(vcon["dialog"]) % 2],
                "mediatype": "text/plain",
                "body": " ".join(rng.choices(_WORDS, k=60)),
                "encoding": "none",
            }
        )
    return vcon


_WORDS = [
    "hello",
    "order",
    "parcel",
    "refund",
    "invoice",
    "morning",
    "thanks",
    "number",
    "address",
    "please",
    "wait",
]
