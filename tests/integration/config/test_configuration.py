"""A changed configuration file comes into force; an invalid one changes nothing and is logged."""

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

from core.errors import TooLateError
from pipeline import live_config
from pipeline.config.changes import AGAIN_AFTER, ChangeGuard
from pipeline.live_config import Configuration, ConfigurationWatch, Snapshot, until_still
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import PATIENCE, configured, link

GOOD = "chains: {main: {ingress_lists: [in]}}\n"
OTHER = "chains: {main: {ingress_lists: [in, second]}}\n"
BAD = "chains: {main: {ingress_lists: [in], links: [nowhere]}}\n"
MODULE = "links: {odd: {module: odd_link_module}}\nchains: {main: {links: [odd]}}\n"


class Watched:
    """A configuration file, its watch, and the configurations that came into force."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text(GOOD)
        self.snapshot = Snapshot(path, {}, still_seconds=0.05)
        self.configuration = self.snapshot.load()
        self.changes: asyncio.Queue[Configuration] = asyncio.Queue()
        self.later = 0.0
        self.watch = ConfigurationWatch(
            self.snapshot,
            self.configuration,
            self._changed,
            guard=ChangeGuard(lambda: time.monotonic() + self.later),
            look_seconds=0.01,
        )

    async def _changed(self) -> None:
        self.changes.put_nowait(self.configuration)

    def write(self, text: str) -> None:
        """Replace the file atomically."""
        draft = self.path.with_suffix(".new")
        draft.write_text(text)
        draft.replace(self.path)

    async def changed(self) -> tuple[str, ...]:
        """The ingress lists of the next configuration that comes into force."""
        async with asyncio.timeout(PATIENCE):
            return (await self.changes.get()).config.ingress_lists


class Errors(logging.Handler):
    """The errors that the watch logs, in a queue."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.problems: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        assert record.getMessage() == "configuration not changed"
        self.problems.put_nowait(record.error)  # type: ignore[attr-defined]

    async def next(self) -> str:
        """The text of the next error."""
        async with asyncio.timeout(PATIENCE):
            return await self.problems.get()


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    """A file that is being watched."""
    opened = Watched(tmp_path / "config.yml")
    watching = asyncio.create_task(opened.watch.run())
    yield opened
    watching.cancel()
    opened.snapshot.close()


@pytest.fixture
def errors() -> Iterator[Errors]:
    """The errors that the watch logs."""
    handler = Errors()
    logger = logging.getLogger("pipeline.live_config")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def test_a_changed_file_comes_into_force(watched: Watched) -> None:
    """Without a signal, and the workers' copy is the new file."""
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
    *listed, last = notes_in(caplog)
    assert (len(listed), vars(last)["count"]) == (50, 10)


def notes_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The records of notes."""
    return [each for each in caplog.records if "configuration note" in each.getMessage()]


async def test_a_signal_has_the_file_read(watched: Watched) -> None:
    """SIGHUP has it read again, changed or not."""
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
async def test_an_invalid_file_changes_nothing_and_is_logged(
    watched: Watched, errors: Errors, text: str, problem: str
) -> None:
    """Neither the configuration in force nor the copy changes; the problems are logged."""
    watched.write(text)
    logged = await errors.next()
    assert problem in logged
    assert "patchcord-" not in logged
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
    watched: Watched, errors: Errors, source: str, problem: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """A plugin that cannot work is reported with the chain that names it, and nothing changes."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"odd_link_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    watched.write(MODULE.replace("odd_link_module", name))
    logged = await errors.next()
    assert logged.startswith("links.odd: ")
    assert problem in logged
    assert logged.endswith("(wanted by chains.main)")
    assert list(watched.configuration.config.links) == []


async def test_an_invalid_file_is_logged_once(watched: Watched, errors: Errors) -> None:
    """It is not read again before it changes or a signal arrives."""
    watched.write(BAD)
    await errors.next()
    watched.write(OTHER)
    assert await watched.changed() == ("in", "second")
    assert errors.problems.empty()


async def test_a_file_that_is_gone(watched: Watched, errors: Errors) -> None:
    """The configuration in force stays; when the file is back it is read."""
    watched.path.unlink()
    assert "there is no configuration file" in await errors.next()
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
    """The warnings that the watch logs, in a queue."""

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
    """A file with keys that is being watched, and its warnings."""
    warned = Warned()
    logger = logging.getLogger("pipeline.live_config")
    logger.addHandler(warned)
    watched.write(GOOD + AUTH)
    await watched.changed()
    yield watched, warned
    logger.removeHandler(warned)


@pytest.mark.parametrize(("half", "lost"), HALVES.values(), ids=HALVES)
async def test_a_partly_written_file_removes_nothing(
    with_keys: tuple[Watched, Warned], half: str, lost: str
) -> None:
    """It is held back, with a line of what it would remove; the whole file comes into force."""
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


@pytest.mark.parametrize("again", ["saved again", "signal", "still there"])
@pytest.mark.parametrize(("text", "lost"), HALVES.values(), ids=HALVES)
async def test_a_removal_that_is_confirmed(
    with_keys: tuple[Watched, Warned], text: str, lost: str, again: str
) -> None:
    """Saved again, confirmed by SIGHUP, or still there a minute later, it comes into force."""
    watched, warned = with_keys
    watched.write(text)
    assert (await warned.next())[0] == "configuration change held back"
    if again == "saved again":
        watched.write(text)
    elif again == "signal":
        watched.watch.ask()
    else:
        watched.later = AGAIN_AFTER
    await watched.changed()
    assert await warned.next() == ("configuration change removes much", lost)
    assert watched.snapshot.path.read_text() == text


async def test_two_different_halves_are_not_the_same_change(
    with_keys: tuple[Watched, Warned],
) -> None:
    """Each is held back; so is one that returns after another content."""
    watched, warned = with_keys
    for half in ("links: {}\n", "storages: {}\n", "links: {}\n", "chains: [", "links: {}\n"):
        watched.write(half)
        message, _ = await warned.next()
        assert message == f"configuration {'not changed' if '[' in half else 'change held back'}"


def test_a_file_is_read_when_it_has_been_still(tmp_path: Path) -> None:
    """Every change begins the second anew."""
    (path := tmp_path / "config.yml").write_text(GOOD)
    snapshot = Snapshot(path, {})
    snapshot.load()
    seen = [snapshot.settled(100.0)]
    for now, text in ((100.0, "chains:"), (100.9, OTHER), (101.5, None), (101.9, None)):
        if text is not None:
            path.write_text(text)
        seen.append(snapshot.settled(now))
    assert seen == [False, False, False, False, True]
    snapshot.close()


async def test_the_start_waits_until_a_file_is_still(tmp_path: Path) -> None:
    """It waits for a file that was changed just now, not for an old, missing or future one."""
    (path := tmp_path / "config.yml").write_text(GOOD)
    await until_still(path, 0.2)
    assert time.time() - path.stat().st_mtime >= 0.2
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    async with asyncio.timeout(PATIENCE):
        await until_still(path)
        await until_still(tmp_path / "missing.yml")


async def test_a_file_changed_between_loading_and_watching(tmp_path: Path) -> None:
    """A change that comes while the service starts is not missed."""
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
    """A run that began with the old configuration ends with it, and records its hash."""
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


async def test_a_disabled_chain_claims_nothing(ops: Operations) -> None:
    """Its queued vCons stay, and go on when it is enabled again."""
    ops.configure(configured(enabled=False))
    crew = await ops.workers.start(ops.configuration)
    [vcon_uuid] = await ops.workers.feed("in")
    await ops.sweep()
    assert ops.list("in") == [vcon_uuid]
    ops.configure(configured())
    crew.worker.reconfigure()
    assert (await ops.workers.finished()).claim.vcon_uuid == vcon_uuid


async def test_a_file_that_is_not_taken_over_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the watch does not come to it, a caller learns that the file is not in force."""
    watched = Watched(tmp_path / "config.yml")  # and it does not run
    monkeypatch.setattr(live_config, "TAKEN_SECONDS", 0.01)
    with pytest.raises(TooLateError, match="was not in force after"):
        await watched.watch.taken()
    watched.snapshot.close()
