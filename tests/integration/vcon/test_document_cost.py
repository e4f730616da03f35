"""Steps and memory that a document takes are bounded by its size, of any shape and in any place.

`make fuzz` does the same to a running service, with large documents and in processor time.
"""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from redis import Redis

from core.phoenix.frames import Frame
from core.settings import DatabaseSettings
from devstack import document_cost
from devstack.document_cost import Cost, Meter, Sent, TooExpensiveError, checked
from devstack.hostile_documents import Document, as_json, document, every, vcon
from pipeline.redis_client.client import RedisConnection
from tests.emptying import empty
from tests.integration.support.partner_scene import Apis, opened_apis

SIZE = 6_000
SECRET = "secret-1"
STEPS, STEPS_PER_BYTE = 30_000, 40
MEMORY, MEMORY_PER_BYTE = 200_000, 200
"""What one document may take: so much, and so much more for each of its bytes."""
OWN = {"ingress_lists": '["customer_data"]'}
PARTNER = {"ingress_list": '"customer_data"', "api_key": f'"{SECRET}"'}
_numbers = count(1)


@pytest.fixture
async def apis(
    redis: RedisConnection, client: Redis, database_settings: DatabaseSettings
) -> AsyncIterator[Apis]:
    """Both APIs with the size limit of a fresh installation, and a key to one list."""
    async with opened_apis(redis, client, database_settings, 8_000_000) as opened:
        await asyncio.to_thread(opened.key, SECRET)
        yield opened


class Counted:
    """Steps of Python that were taken, and the most bytes of memory held."""

    steps = 0
    memory = 0


@contextmanager
def counting() -> Iterator[Counted]:
    """Count what all threads do inside this context: lines and branches, not seconds."""
    counted, tool, events = Counted(), sys.monitoring.PROFILER_ID, sys.monitoring.events

    def step(*_: Any) -> None:
        counted.steps += 1

    sys.monitoring.use_tool_id(tool, "steps")
    for event in (events.LINE, events.BRANCH, events.PY_START):
        sys.monitoring.register_callback(tool, event, step)
    tracemalloc.start()
    sys.monitoring.set_events(tool, events.LINE | events.BRANCH | events.PY_START)
    try:
        yield counted
    finally:
        sys.monitoring.set_events(tool, 0)
        counted.memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        sys.monitoring.free_tool_id(tool)


async def send(apis: Apis, fields: str, *, is_partner: bool) -> int:
    """Code of the answer to a frame with these fields."""
    message = f'[null, null, "service", "request", {{"fields": {fields}}}]'
    frame = apis.decode(message.encode())
    assert isinstance(frame, Frame)
    action = "ExternalIngress" if is_partner else "IngestVcon"
    return (await apis.answer(action, frame.payload["fields"])).status_code


async def check(apis: Apis, made: Document) -> None:
    """Fail if a document takes more than its size allows."""
    is_partner = made.fields.keys().isdisjoint(OWN) and next(_numbers) % 2 == 0
    fields = as_json({**(PARTNER if is_partner else OWN), **made.fields})
    size = made.size(fields)
    empty(apis.client)
    with counting() as counted:
        code = await send(apis, fields, is_partner=is_partner)
    told = f"{made.shape}: {size} bytes, {code}, {counted.steps} steps, {counted.memory} bytes"
    assert 200 <= code < 500, told
    assert counted.steps <= STEPS + STEPS_PER_BYTE * size, told
    assert counted.memory <= MEMORY + MEMORY_PER_BYTE * size, told


def uuid() -> str:
    """A uuid that was not used yet, as JSON."""
    return f'"00000000-0000-4000-8000-{next(_numbers):012}"'


async def test_no_shape_costs_more_than_its_size_allows(apis: Apis) -> None:
    """Each of the shapes, and each place for a value; every other one at the partner API."""
    for own in (OWN, PARTNER):  # fills caches
        await send(apis, as_json({**own, "vcon": vcon(uuid())}), is_partner=own is PARTNER)
    for made in every(uuid, SIZE):
        await check(apis, made)


def test_a_seed_stands_for_the_same_documents_each_time() -> None:
    """One of them can be made again without those before it; all shapes come up."""
    made = [document(7, number, 2_000) for number in range(400)]
    assert made[123] == document(7, 123, 2_000)
    assert made[123] != document(8, 123, 2_000)
    assert len({each.shape for each in made}) > 200


def test_a_document_that_costs_too_much_is_named() -> None:
    """With its shape, its size and the process; both bounds grow with the size."""
    fine = Cost("worker", 4.0, 1_000_000)
    assert checked(Sent("deep lists", 1_000_000, 201, fine)).worst == fine
    for cost in (Cost("service", 19.0, 0), Cost("service", 0.0, 4_900_000_000)):
        with pytest.raises(TooExpensiveError, match=r"deep lists, 250000 bytes.*: service"):
            checked(Sent("deep lists", 250_000, 400, cost))
    large = Sent("deep lists", 8_000_000, 400, Cost("service", 19.0, 1_500_000_000))
    assert checked(large) == large


def test_what_a_process_takes_is_measured() -> None:
    """The peak counts, also of what has been given back."""
    # a fresh process: this one may have so much memory left over that it needs no more
    code = 'print(flush=True); input(); print(len(b"x" * 50_000_000), flush=True); input()'
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        meter = Meter("child", child.pid)
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"50000000\n"
        cost = meter.read()
        child.stdin.write(b"\n")
    assert cost.memory > 40_000_000
    assert cost.seconds >= 0


async def test_documents_are_sent_to_a_running_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is answered, and its run ends; here its time decides nothing."""
    monkeypatch.setattr(document_cost, "SECONDS", math.inf)
    done = await document_cost.fuzz(1, range(12), 20_000)
    assert len(done) == 12
    assert {sent.code for sent in done} >= {201, 400}
