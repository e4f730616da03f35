"""Longer looks at a plugin in its process: a thousand runs, a fork, the end of its modules."""

import asyncio
import contextlib
import gc
import itertools
import json
import os
import select
import signal
import sys
import threading
import time
import tracemalloc
from typing import Any
from uuid import uuid4

from devstack.conformance import descendants
from devstack.conformance.host import Host
from devstack.conformance.watching import blocks, resident

WARM_UP = 0.2
"""The share of runs after which growth counts; caches and pools are filled by then."""
TELLING = 0.5
"""Objects that a run leaves; with more the lines are looked for that made them."""
MOST_PROCESSES = 100
"""Processes that are left, after which no more are started by further runs."""
TRACED = 50
"""Runs whose memory is traced to lines, after growth was seen; fewer if they take long."""


async def grown(host: Host, document: dict[str, Any], runs: int, seconds: float) -> dict[str, Any]:
    """Memory and threads after the warm-up, in the middle and at the end of many runs."""
    looks: list[dict[str, int]] = []
    done, failures, began = 0, 0, time.monotonic()
    for share in (WARM_UP, (1 + WARM_UP) / 2, 1):
        while done < runs * share and time.monotonic() < began + seconds * share:
            failures += bool(await _once(host, document))
            done += 1
        looks.append({"runs": done, "blocks": blocks(), "bytes": resident()})
        looks[-1]["threads"] = threading.active_count()
        looks[-1]["processes"] = len(descendants.below(descendants.process_of(os.getpid())))
        if looks[-1]["processes"] > MOST_PROCESSES:
            runs = done
    lines = await _lines(host, document, seconds / 4) if _grows(looks) else []
    return {"looks": looks, "failures": failures, "lines": lines}


def _grows(looks: list[dict[str, int]]) -> bool:
    return all(
        two["blocks"] - one["blocks"] > (two["runs"] - one["runs"]) * TELLING
        for one, two in itertools.pairwise(looks)
    )


async def _once(host: Host, document: dict[str, Any]) -> str:
    uuid = str(uuid4())
    await host.put({**document, "uuid": uuid})
    ran = await host.run(uuid, 30)
    await host.forget(uuid)
    return ran.error


async def _lines(
    host: Host, document: dict[str, Any], seconds: float
) -> list[tuple[str, int, int]]:
    """File, line and number of objects that many runs left, most first."""
    until = time.monotonic() + seconds
    tracemalloc.start(1)
    try:
        await _once(host, document)
        gc.collect()
        before = tracemalloc.take_snapshot()
        for _ in range(TRACED):
            if time.monotonic() < until:
                await _once(host, document)
        gc.collect()
        changes = tracemalloc.take_snapshot().compare_to(before, "lineno")
    finally:
        tracemalloc.stop()
    frames = [(each.traceback[0], each.count_diff) for each in changes if each.count_diff > 0]
    found = [(frame.filename, frame.lineno, count) for frame, count in frames]
    return sorted(found, key=lambda each: -each[2])[:200]


def in_a_fork(host: Host, document: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Run the plugin once in a forked process, with an event loop and a connection of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _forked(host, document, seconds, writing)
    os.close(writing)
    try:
        return _answer(reading, seconds + 5)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _forked(host: Host, document: dict[str, Any], seconds: float, writing: int) -> None:
    try:
        asyncio._set_running_loop(None)
        # not `asyncio.run`: the end of the loop would wait for what the plugin leaves running
        ran = asyncio.new_event_loop().run_until_complete(_run(host, document, seconds))
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            json.dump(ran, pipe)
    finally:
        os._exit(0)


async def _run(host: Host, document: dict[str, Any], seconds: float) -> dict[str, Any]:
    await host.open()
    await host.put(document)
    return (await host.run(document["uuid"], seconds)).as_plain()


def _answer(reading: int, seconds: float) -> dict[str, Any]:
    """The result of the fork; empty if it died or gave none in time."""
    text, until = b"", time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([reading], [], [], left)
        chunk = os.read(reading, 65536) if ready else b""
        if not chunk:
            break
        text += chunk
    with contextlib.suppress(ValueError):
        answer: dict[str, Any] = json.loads(text)
        return answer
    return {}


def drop_modules(name: str) -> None:
    """Forget a module's globals, so that what it never closed is collected and warns."""
    for each in [n for n in sys.modules if f"{n}.".startswith(f"{name}.")]:
        module = sys.modules.pop(each)
        vars(module).clear()
    gc.collect()
