"""A changed configuration file comes into force; a bad one changes nothing and says why."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import live_config
from pipeline.config import changes
from pipeline.live_config import Configuration, ConfigurationWatch, Snapshot
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import PATIENCE, configured, link

GOOD = "chains: {main: {ingress_lists: [in]}}\n"
OTHER = "chains: {main: {ingress_lists: [in, second]}}\n"
BAD = "chains: {main: {ingress_lists: [in], links: [nowhere]}}\n"
MODULE = "links: {odd: {module: odd_link_module}}\nchains: {main: {links: [odd]}}\n"


class Watched:
    """A configuration file, and what has become of its changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text(GOOD)
        self.snapshot = Snapshot(path, {})
        self.configuration = self.snapshot.load()
        self.changes: asyncio.Queue[Configuration] = asyncio.Queue()
        self.watch = ConfigurationWatch(self.snapshot, self.configuration, self._changed)

    async def _changed(self) -> None:
        self.changes.put_nowait(self.configuration)

    def write(self, text: str) -> None:
        """Another file takes the place of this one, in one step."""
        draft = self.path.with_suffix(".new")
        draft.write_text(text)
        draft.replace(self.path)

    async def changed(self) -> tuple[str, ...]:
        """The ingress lists of the next configuration that comes into force."""
        async with asyncio.timeout(PATIENCE):
            return (await self.changes.get()).config.ingress_lists


class Said(logging.Handler):
    """The problems that were logged, to be waited for."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.problems: asyncio.Queue[list[str]] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        assert record.getMessage() == "configuration not changed"
        self.problems.put_nowait(record.error.split("\n"))  # type: ignore[attr-defined]

    async def next(self) -> list[str]:
        """What is said next."""
        async with asyncio.timeout(PATIENCE):
            return await self.problems.get()


@pytest.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    """A file that is being watched."""
    monkeypatch.setattr(live_config, "LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(live_config, "STILL", 0.05)
    opened = Watched(tmp_path / "config.yml")
    watching = asyncio.create_task(opened.watch.run())
    yield opened
    watching.cancel()
    opened.snapshot.close()


@pytest.fixture
def said() -> Iterator[Said]:
    """What the watch logs as wrong."""
    handler = Said()
    logger = logging.getLogger("pipeline.live_config")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def test_a_changed_file_comes_into_force(watched: Watched) -> None:
    """Without being asked, and the workers' copy is the new file."""
    watched.write(OTHER)
    assert await watched.changed() == ("in", "second")
    assert watched.snapshot.path.read_text() == OTHER


async def test_notes_are_logged_with_each_file(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start and at every change; a long list is cut."""
    watched.write(OTHER + "worker: 3\n")
    await watched.changed()
    assert [vars(each)["error"] for each in notes_in(caplog)] == [
        "worker: not a known key, ignored"
    ]
    caplog.clear()
    watched.write(GOOD + "".join(f"colour-{number}: 1\n" for number in range(60)))
    await watched.changed()
    *told, last = notes_in(caplog)
    assert (len(told), vars(last)["count"]) == (50, 10)


def notes_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged of notes."""
    return [each for each in caplog.records if "configuration note" in each.getMessage()]


async def test_the_file_is_read_when_asked(watched: Watched) -> None:
    """SIGHUP reads it again, changed or not."""
    watched.watch.ask()
    assert await watched.changed() == ("in",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BAD, "chains.main.links[0]: no link named 'nowhere'"),
        ("chains: [", "config.yml:1:10: is not valid YAML"),
        ("", "config.yml is empty"),
        (MODULE, "(wanted by chains.main)"),
    ],
    ids=["a wrong name", "no YAML", "empty", "a module that is missing"],
)
async def test_a_bad_file_changes_nothing_and_says_why(
    watched: Watched, said: Said, text: str, problem: str
) -> None:
    """Neither what is in force nor the copy changes; the problems are logged."""
    watched.write(text)
    [said_problem] = await said.next()
    assert problem in said_problem
    assert "patchcord-" not in said_problem
    assert watched.configuration.config.ingress_lists == ("in",)
    assert (watched.snapshot.path.read_text(), watched.changes.empty()) == (GOOD, True)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def walk(vcon_uuid, link_name, opts):\n    pass\n", "run"),
        ("def run(vcon_uuid):\n    pass\n", "run"),
        ("import nothing_of_this_name\n", "nothing_of_this_name"),
        ("raise ValueError('no key')\n", "no key"),
    ],
    ids=["no run", "a wrong signature", "a missing import", "a failing import"],
)
async def test_modules_are_checked_before_they_are_used(
    watched: Watched, said: Said, source: str, problem: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """A plugin that cannot work is reported with the chain that wants it, and nothing changes."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"odd_link_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    watched.write(MODULE.replace("odd_link_module", name))
    [said_problem] = await said.next()
    assert said_problem.startswith("links.odd: ")
    assert problem in said_problem
    assert said_problem.endswith("(wanted by chains.main)")
    assert list(watched.configuration.config.links) == []


async def test_a_bad_file_is_told_once(watched: Watched, said: Said) -> None:
    """It is not read again before it changes or somebody asks."""
    watched.write(BAD)
    await said.next()
    watched.write(OTHER)
    assert await watched.changed() == ("in", "second")
    assert said.problems.empty()


async def test_a_file_that_is_gone(watched: Watched, said: Said) -> None:
    """What is in force stays; when the file is back it counts again."""
    watched.path.unlink()
    assert "there is no configuration file" in (await said.next())[0]
    watched.write(OTHER)
    assert await watched.changed() == ("in", "second")


AUTH = "ingress_auth: {in: [first-partner-key, second-partner-key]}\n"
HALVES = {
    "every chain": ("links: {}\n" + AUTH, "chains: every chain is gone"),
    "every key": (GOOD + "ingress_auth: {}\n", "ingress_auth.in: every key it had is gone"),
    "other keys": (
        GOOD + "ingress_auth: {in: [new-partner-key-1]}\n",
        "ingress_auth.in: every key it had is gone",
    ),
    "half a key": (
        GOOD + "ingress_auth:\n  in:\n  - first-partner-key\n  - second-partner-k",
        "ingress_auth.in: a key is the beginning of one that is gone",
    ),
}


class Warned(logging.Handler):
    """The warnings of the watch, to be waited for."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.put_nowait((record.getMessage(), str(vars(record).get("error"))))

    async def next(self) -> tuple[str, str]:
        """Message and error of the next one."""
        async with asyncio.timeout(PATIENCE):
            return await self.lines.get()


@pytest.fixture
async def with_keys(watched: Watched) -> AsyncIterator[tuple[Watched, Warned]]:
    """A file with keys that is being watched, and what is warned of."""
    warned = Warned()
    logger = logging.getLogger("pipeline.live_config")
    logger.addHandler(warned)
    watched.write(GOOD + AUTH)
    await watched.changed()
    yield watched, warned
    logger.removeHandler(warned)


@pytest.mark.parametrize(("half", "lost"), HALVES.values(), ids=HALVES)
async def test_half_a_file_takes_nothing_away(
    with_keys: tuple[Watched, Warned], half: str, lost: str
) -> None:
    """It is held back, with a line that says what it would remove; the whole file comes in."""
    watched, warned = with_keys
    watched.write(half)
    message, error = await warned.next()
    assert message == "configuration change held back"
    assert error.startswith(lost)
    assert watched.snapshot.path.read_text() == GOOD + AUTH
    assert set(watched.configuration.config.ingress_auth["in"]) == {
        "first-partner-key",
        "second-partner-key",
    }
    watched.write(OTHER + AUTH)
    assert await watched.changed() == ("in", "second")


@pytest.mark.parametrize("again", ["saved again", "asked for", "still there"])
@pytest.mark.parametrize(("text", "lost"), HALVES.values(), ids=HALVES)
async def test_a_removal_that_is_meant(
    with_keys: tuple[Watched, Warned],
    text: str,
    lost: str,
    again: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Saved again, asked for by SIGHUP, or there a minute later, it comes into force."""
    watched, warned = with_keys
    watched.write(text)
    assert (await warned.next())[0] == "configuration change held back"
    if again == "saved again":
        watched.write(text)
    elif again == "asked for":
        watched.watch.ask()
    else:
        monkeypatch.setattr(changes, "AGAIN_AFTER", 0.0)
    await watched.changed()
    assert await warned.next() == ("configuration change removes much", lost)
    assert watched.snapshot.path.read_text() == text


async def test_two_different_halves_are_not_the_same_change(
    with_keys: tuple[Watched, Warned],
) -> None:
    """Each is held back; so is one that is there again after something else was."""
    watched, warned = with_keys
    for half in ("links: {}\n", "storages: {}\n", "links: {}\n", "chains: [", "links: {}\n"):
        watched.write(half)
        message, _ = await warned.next()
        assert message == f"configuration {'not changed' if '[' in half else 'change held back'}"


def test_a_file_counts_when_it_has_been_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every change begins the second anew."""
    (path := tmp_path / "config.yml").write_text(GOOD)
    now = [100.0]
    monkeypatch.setattr(live_config.time, "monotonic", lambda: now[0])
    snapshot = Snapshot(path, {})
    snapshot.load()
    seen = [snapshot.settled()]
    for second, text in ((0.0, "chains:"), (0.9, OTHER), (1.5, None), (1.9, None)):
        now[0] = 100.0 + second
        if text is not None:
            path.write_text(text)
        seen.append(snapshot.settled())
    assert seen == [False, False, False, False, True]
    snapshot.close()


async def test_the_start_waits_until_a_file_is_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was changed just now is waited for; an old, a missing or a future one is not."""
    monkeypatch.setattr(live_config, "STILL", 0.2)
    (path := tmp_path / "config.yml").write_text(GOOD)
    await live_config.until_still(path)
    assert time.time() - path.stat().st_mtime >= live_config.STILL
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    async with asyncio.timeout(PATIENCE):
        await live_config.until_still(path)
        await live_config.until_still(tmp_path / "missing.yml")


async def test_a_file_changed_between_loading_and_watching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that comes while the service starts is not missed."""
    monkeypatch.setattr(live_config, "LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(live_config, "STILL", 0.05)
    opened = Watched(tmp_path / "config.yml")
    opened.write(OTHER)
    watching = asyncio.create_task(opened.watch.run())
    assert await opened.changed() == ("in", "second")
    watching.cancel()
    opened.snapshot.close()


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """An empty Redis."""
    async with operations(redis_url) as opened:
        yield opened


async def test_a_run_keeps_what_it_started_with(ops: Operations) -> None:
    """A run that began under the old configuration ends under it, and records its hash."""
    begun, go, called = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    def wait(vcon_uuid: str, name: str, options: dict[str, Any]) -> str:
        loop.call_soon_threadsafe(begun.set)
        assert go.wait(PATIENCE)
        return vcon_uuid

    def note(vcon_uuid: str, name: str, options: dict[str, Any]) -> str:
        called.append(name)
        return vcon_uuid

    old = configured(links=[link(wait), link(note, "old")])
    new = configured(links=[link(note, "new")], egress=("elsewhere",))
    assert old.config.hash != new.config.hash
    ops.configure(Configuration(old.config, old.plugins))
    crew = await ops.workers.start(ops.configuration)
    [first] = await ops.workers.feed("in")
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
    ops.configure(new)
    crew.worker.reconfigure()
    [second] = await ops.workers.feed("in")
    assert (await ops.workers.finished()).run["config_hash"] == new.config.hash
    go.set()
    ended = await ops.workers.finished()
    assert (ended.run["config_hash"], ended.claim.vcon_uuid) == (old.config.hash, first)
    assert called == ["new", "old"]
    assert (ops.list("out"), ops.list("elsewhere")) == ([first], [second])


async def test_a_chain_that_is_switched_off_is_not_consumed(ops: Operations) -> None:
    """What is queued for it stays, and goes on when it is switched on again."""
    ops.configure(configured(enabled=False))
    crew = await ops.workers.start(ops.configuration)
    [vcon_uuid] = await ops.workers.feed("in")
    await ops.sweep()
    assert ops.list("in") == [vcon_uuid]
    ops.configure(configured())
    crew.worker.reconfigure()
    assert (await ops.workers.finished()).claim.vcon_uuid == vcon_uuid
