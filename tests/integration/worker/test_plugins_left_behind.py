"""Plugins that ignore their cancellation, cancel their own run, fork, or leave things running."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import warnings
from contextvars import Context
from typing import Any

import pytest
from redis import Redis

from core.errors import UnavailableError
from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.plugins.errors import EXIT_FORKED
from pipeline.runs import calls
from tests.integration.support.pipeline_fixtures import (
    PATIENCE,
    Scene,
    a_vcon,
    configured,
    link,
    storage,
)
from tests.time_limits import HOUR, NOT_IN_TIME, TimeIsUp

pytestmark = pytest.mark.usefixtures("at_once")


async def ok(vcon_uuid: str, *_: Any) -> str:
    """A link that does nothing."""
    return vcon_uuid


class Deaf:
    """Ignores every cancellation until it is let go, then writes to its vCon."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.outcome: asyncio.Future[BaseException | None] = asyncio.Future()
        self.arrived = asyncio.Event()

    async def run(self, vcon_uuid: str, *_: Any) -> str:
        """The plugin."""
        self.arrived.set()
        while not self.go.is_set():
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                continue
        try:
            await AsyncVconRedis().store_vcon_dict(a_vcon(vcon_uuid, subject="late"))
        except BaseException as error:
            self.outcome.set_result(error)
            raise
        self.outcome.set_result(None)
        return vcon_uuid


@pytest.mark.parametrize("place", ["link", "storage", "chain"])
async def test_a_plugin_that_ignores_its_time_limit_is_left_behind(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    time_is_up: TimeIsUp,
    place: str,
) -> None:
    """The run ends without it, the log names it, and it writes nothing any more."""
    monkeypatch.setattr(calls, "CANCEL_GRACE", 0.01)
    deaf = Deaf()
    chain = {
        "link": configured(links=[link(deaf.run, "deaf", timeout=HOUR)], max_attempts=1),
        "storage": configured(storages=[storage(deaf.run, "deaf", timeout=HOUR)]),
        "chain": configured(links=[link(deaf.run, "deaf")], timeout=HOUR, max_attempts=1),
    }[place]
    crew = await scene.start(chain)
    [vcon_uuid] = await scene.feed()
    async with asyncio.timeout(PATIENCE):
        await deaf.arrived.wait()
    time_is_up()
    ended = await scene.finished()
    assert (ended.status, ended.held) == ("partial" if place == "storage" else "failed", True)
    assert NOT_IN_TIME in str(ended.run["steps"])
    named = [each for each in caplog.records if "ignored its cancellation" in each.message]
    field = "storage" if place == "storage" else "link"
    assert [getattr(each, field) for each in named] == ["deaf"]
    deaf.go.set()
    assert "given up" in str(await deaf.outcome)
    assert "subject" not in (await scene.store.get(vcon_uuid) or {})
    await crew.stop()


async def test_a_stop_does_not_wait_for_a_plugin_that_ignores_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it held is given back."""
    monkeypatch.setattr(calls, "CANCEL_GRACE", 0.01)
    deaf = Deaf()
    crew = await scene.start(configured(links=[link(deaf.run)]))
    [vcon_uuid] = await scene.feed()
    async with asyncio.timeout(PATIENCE):
        await deaf.arrived.wait()
        await crew.stop()
    assert scene.elements("in") == [vcon_uuid]
    deaf.go.set()
    await deaf.outcome


def cancel_own_task() -> None:
    """What a plugin may do to the task that it runs in."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def cancel_the_run() -> None:
    """What a plugin may do to the task that its worker has for the run."""
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__qualname__", "") == "RunsInProgress._work_on":
            task.cancel()


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("cancels", [cancel_own_task, cancel_the_run])
async def test_a_plugin_that_cancels_its_run_has_failed(
    scene: Scene, cancels: Any, waits: bool
) -> None:
    """An attempt each, and then a dead letter; it is not taken for a stop of the worker."""

    async def rude(vcon_uuid: str, *_: Any) -> str:
        cancels()
        if waits:
            await asyncio.sleep(0)
        return vcon_uuid

    crew = await scene.start(configured(links=[link(rude)], max_attempts=2))
    [vcon_uuid] = await scene.feed()
    while vcon_uuid not in scene.elements("DLQ:in") + scene.elements("out"):
        await scene.ended()
    if waits or cancels is cancel_own_task:  # else the cancellation came when all was done
        reason = scene.reason("DLQ:in", vcon_uuid)
        assert (reason["attempts"], "CancelledError" in reason["error"]) == (2, True)
    await crew.worker.idle()
    assert scene.client.hgetall("pc:locks") == {}


def fork() -> int:
    """The child's id in the parent, 0 in the child."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        return os.fork()


def exit_code(child: int) -> int:
    """How the child ended; it is killed when it goes on."""
    ends = time.monotonic() + PATIENCE
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        time.sleep(0.01)
        if time.monotonic() > ends:
            os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(ended[1])


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
async def test_a_forked_child_does_not_go_on_as_a_worker(scene: Scene, is_async: bool) -> None:
    """It ends where the plugin returns, and the links behind it run once."""
    later: list[int] = []

    def forks(vcon_uuid: str, *_: Any) -> str:
        VconRedis().get_vcon_dict(vcon_uuid)  # the thread has a connection
        if (child := fork()) == 0:
            VconRedis().get_vcon_dict(vcon_uuid)  # the child may use one of its own
            return vcon_uuid
        assert exit_code(child) == EXIT_FORKED
        return vcon_uuid

    async def forks_async(vcon_uuid: str, *_: Any) -> str:
        if (child := fork()) == 0:
            return vcon_uuid
        assert exit_code(child) == EXIT_FORKED
        return vcon_uuid

    def notes(vcon_uuid: str, *_: Any) -> str:
        later.append(os.getpid())
        return vcon_uuid

    await scene.start(configured(links=[link(forks_async if is_async else forks), link(notes)]))
    [vcon_uuid] = await scene.feed()
    assert (await scene.finished()).status == "done"
    assert later == [os.getpid()]
    assert scene.elements("out") == [vcon_uuid]


async def test_what_a_plugin_leaves_running_is_named_once(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Threads of a sync link and tasks of an async one."""
    end, over = threading.Event(), asyncio.Event()
    started: list[threading.Thread] = []
    waiting: set[asyncio.Task[Any]] = set()

    def threads(vcon_uuid: str, *_: Any) -> str:
        started.append(threading.Thread(target=end.wait, name="forgotten"))
        started[-1].start()
        return vcon_uuid

    async def tasks(vcon_uuid: str, *_: Any) -> str:
        waiting.add(asyncio.create_task(over.wait(), name="forgotten too"))
        return vcon_uuid

    await scene.start(configured(links=[link(threads, timeout=PATIENCE), link(tasks)]))
    try:
        for _ in range(3):
            await scene.feed()
            assert (await scene.finished()).status == "done"
    finally:
        end.set()
        over.set()
    told = [each for each in caplog.records if each.message == "plugin left something running"]
    assert [(each.link, each.error) for each in told] == [
        ("threads", "threads still run: forgotten"),
        ("tasks", "tasks still run: forgotten too"),
    ]
    for thread in started:
        thread.join()
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("no")])
async def test_a_task_of_a_plugin_does_not_end_the_event_loop(
    scene: Scene, error: BaseException
) -> None:
    """What it raises reaches the plugin that waits for it."""

    async def rude() -> None:
        await asyncio.sleep(0)
        raise error

    async def waits(vcon_uuid: str, *_: Any) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(rude())
        return vcon_uuid

    await scene.start(configured(links=[link(waits)], max_attempts=1))
    [vcon_uuid] = await scene.feed()
    assert (await scene.finished()).status == "failed"
    assert type(error).__name__ in scene.reason("DLQ:in", vcon_uuid)["error"]


@pytest.mark.parametrize("waits", [True, False], ids=["waits", "returns"])
async def test_a_task_factory_of_a_plugin_makes_no_tasks_of_the_worker(
    scene: Scene, waits: bool
) -> None:
    """One that fails would keep every run of the worker in flight until a restart."""

    def broken(*_: Any, **__: Any) -> asyncio.Task[Any]:
        raise ZeroDivisionError

    async def sets(vcon_uuid: str, *_: Any) -> str:
        if waits:
            await asyncio.sleep(0)
        asyncio.get_running_loop().set_task_factory(broken)
        return vcon_uuid

    await scene.start(configured(links=[link(sets)]))
    await scene.feed(count=2)
    for _ in range(2):
        assert (await scene.finished()).status == "done"


async def test_too_much_left_behind_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, time_is_up: TimeIsUp
) -> None:
    """By calls in threads and on the event loop, once so many still run."""
    monkeypatch.setattr(calls, "CANCEL_GRACE", 0.01)
    told: list[int] = []
    deaf, end = Deaf(), threading.Event()

    async def hangs(vcon_uuid: str) -> None:
        time_is_up()
        await deaf.run(vcon_uuid)

    def hangs_in_thread(_: str) -> None:
        time_is_up()
        end.wait(PATIENCE)

    asked = calls.PluginCalls(1, scene.redis, 2, lambda: told.append(1))
    for function, is_async in ((hangs, True), (hangs_in_thread, False)):
        assert told == []
        with pytest.raises(TimeoutError):
            await asked.call(function, "x", is_async=is_async, timeout=HOUR)
    assert told == [1]
    end.set()
    deaf.go.set()
    await deaf.outcome
    asked.close()


# --- Redis without memory


async def test_an_idle_worker_without_memory_does_not_spin(scene: Scene) -> None:
    """Its blocking commands are refused at once: it pauses between them, ever longer.

    Of 13 for four lists, one list has had four: after pauses of 0.05, 0.1 and 0.2 s at least.
    """
    scene.client.config_resetstat()
    scene.client.config_set("maxmemory", 1)
    try:
        began = time.monotonic()
        crew = await scene.start(configured(ingress=("a", "b", "c")))  # and run:main
        async with asyncio.timeout(PATIENCE):
            while refused_waits(scene) < 13:  # noqa: ASYNC110 -- no event
                await asyncio.sleep(0.01)
        took = time.monotonic() - began
    finally:
        scene.client.config_set("maxmemory", 0)
    assert took > 0.3
    await crew.stop()


def refused_waits(scene: Scene) -> int:
    """How many blocking commands Redis has refused."""
    counted: dict[str, int] = scene.client.info("commandstats").get("cmdstat_blmove", {})
    return counted.get("rejected_calls", 0)


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
async def test_without_memory_a_link_that_halts_runs_once(scene: Scene, is_async: bool) -> None:
    """Commands of others that Redis refuses meanwhile are no evidence about this call."""
    ran: list[str] = []
    loop = asyncio.get_running_loop()

    async def refused() -> None:
        with pytest.raises(UnavailableError, match="takes no commands"):
            await scene.redis.command("SET", "x", 1)

    def others() -> None:
        Context().run(asyncio.run_coroutine_threadsafe, refused(), loop).result(PATIENCE)

    def halts(vcon_uuid: str, *_: Any) -> None:
        ran.append(vcon_uuid)
        others()

    async def halts_async(vcon_uuid: str, *_: Any) -> None:
        ran.append(vcon_uuid)
        await asyncio.to_thread(others)

    fed = await scene.feed()
    scene.client.config_set("maxmemory", 1)
    try:
        await scene.start(configured(links=[link(halts_async if is_async else halts)]))
        assert (await scene.finished()).status == "halted"
    finally:
        scene.client.config_set("maxmemory", 0)
    assert ran == fed


async def test_a_full_redis_of_a_plugin_is_not_taken_for_ours(scene: Scene) -> None:
    """A client of the plugin's own, on a server without memory: its attempt has failed."""
    tried: list[float] = []

    def save(*_: Any) -> None:
        tried.append(time.monotonic())
        with Redis.from_url(scene_url(scene)) as own:
            own.set("x", 1)

    await scene.feed()
    scene.client.config_set("maxmemory", 1)
    try:
        await scene.start(configured(storages=[storage(save, retries=1)]))
        ended = await scene.finished()
    finally:
        scene.client.config_set("maxmemory", 0)
    assert ended.status == "partial"
    assert "OutOfMemoryError" in ended.run["steps"][0]["error"]
    assert len(tried) == 2


def scene_url(scene: Scene) -> str:
    """Where the scene's Redis is."""
    about = scene.client.connection_pool.connection_kwargs
    return f"redis://{about['host']}:{about['port']}/{about['db']}"
