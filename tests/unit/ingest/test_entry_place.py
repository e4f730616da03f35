"""Where a vCon is parsed: on the event loop or in the helper process."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.ingest.entry import FEW, LARGE, entry_in_pieces, make_entry
from pipeline.redis_client.document_pieces import LARGE as IN_PIECES
from pipeline.redis_client.document_pieces import is_large, pieces_of

MOST = 10_000_000


def _vcon(size: int = 0) -> dict[str, Any]:
    vcon = {"uuid": "0190163d-8694-739b-aea5-966c26f8ad91", "created_at": "2026-01-05T10:00:00Z"}
    vcon["subject"] = "x" * max(size - len(json.dumps({**vcon, "subject": ""})), 0)
    return vcon


class Elsewhere:
    """An `Offload` that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__[**P, T](
        self, function: Callable[P, T], *args: P.args, **options: P.kwargs
    ) -> T:
        """Call the function here."""
        self.calls += 1
        return function(*args, **options)


SMALL, LARGEST, LONGER = (json.dumps(_vcon(n)).encode() for n in (0, LARGE, LARGE + 1))
MANY = json.dumps(_vcon(LARGE) | {"group": [0] * (FEW + 1)}).encode()
SIGNED = json.dumps(_vcon() | {"subject": "payload" * LARGE}).encode()
ESCAPED = json.dumps(_vcon() | {"subject": "é" * LARGE}).encode()
PLACES = [
    (_vcon(), 0),
    (_vcon(LARGE + 1), 0),
    (SMALL, 0),
    (LARGEST, 0),
    (LONGER, 0),
    (MANY, 1),
    (SIGNED, 1),
    (ESCAPED, 1),
    (gzip.compress(SMALL), 1),
    (b64encode(gzip.compress(SMALL)).decode(), 1),
]


@pytest.mark.parametrize(("given", "calls"), PLACES, ids=range(len(PLACES)))
async def test_what_takes_long_to_parse_goes_to_the_helper(given: object, calls: int) -> None:
    """A small body, or one of few texts, is not: the way there and back takes longer."""
    offload = Elsewhere()
    entry = await make_entry(offload, given, MOST)
    assert offload.calls == calls
    assert entry.vcon_uuid == _vcon()["uuid"]


@pytest.mark.parametrize("size", [LARGE + 1, IN_PIECES + 1])
async def test_the_helper_divides_what_redis_gets_in_pieces(size: int) -> None:
    """It has parsed the vCon, so that nothing need be estimated or parsed again."""
    vcon = _vcon() | {"dialog": [{"type": "text", "body": "x" * 500}] * (size // 500)}
    entry = await make_entry(Elsewhere(), json.dumps(vcon).encode(), MOST)
    assert entry.large == is_large(entry.document) == (size > IN_PIECES)
    assert entry.pieces == (pieces_of(entry.document) if entry.large else None)


async def test_on_the_event_loop_nothing_is_divided() -> None:
    """A small text may hold a document that is large in memory."""
    lists = json.dumps(_vcon() | {"group": [[]] * (LARGE // 5)}).encode()
    for given in (lists, json.loads(lists)):
        entry = await make_entry(Elsewhere(), given, MOST)
        assert entry.large is entry.pieces is None
    assert entry_in_pieces(lists, MOST).pieces == pieces_of(entry.document)
