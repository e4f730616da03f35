"""Large vCons are parsed, formed and written beside the event loop, in steps."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.concurrency.thread_pool import one_at_a_time
from lib.vcon_redis import AsyncVconRedis
from pipeline.ingest.entry import make_entry
from pipeline.runs.document_writes import LARGE
from pipeline.runs.vcon_store import VconStore
from pipeline.vcon import normalization
from storage import file
from tests.integration.redis_client.slowlog_scene import Slowlog, slowlog
from tests.integration.support.pipeline_fixtures import a_vcon, configured, link, storage

SIZE = 600_000
MOST = 8_000_000
UUID = "0a0b0c0d-0000-4000-8000-000000000000"
PARTY, WORD = {"type": "text", "parties": [0], "body": "Good morning"}, {"word": "a", "at": 1.5}
SHAPES: dict[str, dict[str, Any]] = {
    "a recording": {"dialog": [{"type": "recording", "body": "Zm9v" * (SIZE // 4)}]},
    "many dialogs": {"dialog": [PARTY] * (SIZE // 50)},
    "many analyses": {"analysis": [{"type": "words", "body": [WORD] * 9}] * (SIZE // 250)},
}


async def tag(vcon_uuid: str, name: str, options: dict[str, Any]) -> str:
    """A link on the event loop."""
    redis = AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    assert document is not None
    document["attachments"].append({"purpose": "tags", "body": '["a:a"]', "encoding": "json"})
    await redis.store_vcon_dict(document)
    return vcon_uuid


class Seen:
    """What was given to the parser, and what came from the writer: by which thread, and bytes."""

    def __init__(self) -> None:
        self.on_loop: list[tuple[str, int]] = []
        self.commas: list[int] = []
        self._loop_thread = threading.get_ident()

    def note(self, what: str, text: Any) -> None:
        """Note a call."""
        if threading.get_ident() == self._loop_thread:
            self.on_loop.append((what, len(text)))
        elif what == "loads":
            written = text.encode() if isinstance(text, str) else bytes(text)
            self.commas.append(written.count(b","))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What is parsed and written from now on."""
    seen, loads, dumps = Seen(), orjson.loads, orjson.dumps
    monkeypatch.setattr(orjson, "loads", lambda text: seen.note("loads", text) or loads(text))

    def dumped(value: Any, *args: Any, **options: Any) -> bytes:
        text = dumps(value, *args, **options)
        seen.note("dumps", text)
        return text

    monkeypatch.setattr(orjson, "dumps", dumped)
    return seen


@pytest.fixture
async def scene(redis_url: str) -> AsyncIterator[Slowlog]:
    """The parts, on one Redis."""
    async with slowlog(redis_url) as opened:
        yield opened


CASES = [*((shape, True) for shape in SHAPES), ("many dialogs", False)]


@pytest.mark.parametrize(("shape", "through_lib"), CASES)
async def test_a_run(
    scene: Slowlog, seen: Seen, tmp_path: Path, shape: str, *, through_lib: bool
) -> None:
    """A link reads and writes it, a file gets it, and it is read again."""
    ops = scene.ops

    def save(vcon_uuid: str, options: dict[str, Any]) -> None:
        file.save(vcon_uuid, {"path": tmp_path, "organize_by_date": False})

    links = [link(tag, only_through_lib=through_lib)]
    ops.configure(configured(links=links, storages=[storage(save)]))
    text = orjson.dumps(a_vcon(UUID, **SHAPES[shape]))
    seen.on_loop.clear()
    entry = await make_entry(one_at_a_time, text, MOST)
    assert (await ops.intake.ingest(entry, ["in"])).outcome == "new"
    seen.commas.clear()
    await ops.work()
    assert ops.list("out") == [UUID]
    document = await VconStore(ops.redis).get(UUID)
    assert document is not None
    assert len(document["attachments"]) == 1
    assert sum(size for _, size in seen.on_loop) < LARGE
    assert max(seen.commas) < 10_000
    assert orjson.loads((tmp_path / f"{UUID}.json").read_bytes()) == document


def test_forms_that_take_long() -> None:
    """Many entries, a value as a body, a long text as one."""
    assert not normalization.takes_long(a_vcon(dialog=[PARTY] * 10))
    for name, shape in SHAPES.items():
        assert normalization.takes_long(a_vcon(**shape)), name
    assert not normalization.takes_long(a_vcon(analysis=None, dialog=["no entry"]))
