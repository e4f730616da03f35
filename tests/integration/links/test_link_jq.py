"""The jq link with jq itself."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from lib import limits
from lib.jq import process as jq_process
from lib.limits import Limits
from links import jq_link
from pipeline.config.parser import parse
from pipeline.plugins.loader import load
from pipeline.runs.vcon_store import VconStore
from tests.plugins.scene import TAGGED, canonical, connected

VCON = canonical(TAGGED) | {"subject": "A bike to repair"}
UUID = VCON["uuid"]
MISSING = "00000000-0000-8000-8000-000000000000"


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store with one vCon behind the connection that plugins find."""
    async with connected(redis_url) as store:
        await store.put(VCON)
        yield store


async def passes(vcon_uuid: str = UUID, **options: object) -> bool:
    """Whether the vCon goes on."""
    return await asyncio.to_thread(jq_link.run, vcon_uuid, "jq", options) == vcon_uuid


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        (".", True),
        ('.subject | test("bike")', True),
        ('.subject == "x"', False),
        ("empty", False),
        (".nothing", False),
        (".parties | length", True),
        ("0", False),
        ('""', False),
        ("true, false", True),
        ("false, true", False),
    ],
)
async def test_the_first_output_counts(text: str, matches: bool) -> None:
    """And `forward_matches: false` turns it round."""
    assert await passes(filter=text) is matches
    assert await passes(filter=text, forward_matches=False) is not matches


async def test_a_filter_that_fails_on_a_vcon_is_an_error_without_its_content() -> None:
    """It is no match that would let the vCon vanish."""
    with pytest.raises(ValueError, match="string cannot be added") as error:
        await passes(filter=".subject + 1")
    assert "bike" not in str(error.value)


async def test_a_vcon_that_is_not_there_ends_the_run() -> None:
    """For any filter."""
    assert not await passes(MISSING, filter=".")


def test_what_is_no_filter_is_told_at_the_start() -> None:
    """With what jq says."""
    links = {"it": {"module": "links.jq_link", "options": {"filter": ".x |"}}}
    with pytest.raises(ConfigurationError, match="not a jq program: jq: error: syntax error"):
        load(parse({"links": links, "chains": {"c": {"links": ["it"]}}}, {}))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """128 MiB for a filter, and a minute: what ends sooner has taken too much memory."""
    monkeypatch.setattr(limits, "_limits", Limits(jq_seconds=60.0, jq_memory=128 * limits.MIB))


async def test_a_filter_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop and other threads go on meanwhile, and the next call is answered."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    monkeypatch.setattr(limits, "_limits", Limits(jq_seconds=1.0))
    async with asyncio.TaskGroup() as group:
        turning = group.create_task(turn())
        with pytest.raises(RuntimeError, match="JQ_SECONDS"):
            await passes(filter="last(recurse(1))")
        turning.cancel()
    assert turns > 0
    monkeypatch.setattr(limits, "_limits", Limits(jq_seconds=60.0))
    assert await passes(filter=".")


@pytest.mark.usefixtures("small")
async def test_a_filter_that_takes_much_memory_is_ended() -> None:
    """It is the memory of a process of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RuntimeError, match=r"JQ_SECONDS|134217728 bytes of memory"):
        await passes(filter="[range(2e7)] | length")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def environment(process: int) -> bytes:
    """The environment of a process."""
    return Path(f"/proc/{process}/environ").read_bytes()


async def test_the_same_process_serves_many_calls() -> None:
    """And knows no secrets: its environment is empty."""
    await passes(filter=".")
    [child] = jq_process._idle
    for number in range(20):
        assert await passes(filter=f"{number} > 9") is (number > 9)
    assert jq_process._idle == [child]
    assert environment(child._process.pid) == b""


async def test_a_process_that_was_killed_meanwhile_is_replaced() -> None:
    """By another program, or for want of memory."""
    await passes(filter=".")
    [child] = jq_process._idle
    child._process.kill()
    child._process.wait()
    assert await passes(filter=".")
