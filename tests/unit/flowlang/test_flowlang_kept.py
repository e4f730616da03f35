"""Connections that outlive runs: one opening, backoff, changes, health."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowlang.connections import slot
from flowlang.exceptions import ConnectionError, ConnectionNotFoundError
from tests.unit.support.flowlang_kept import NORTH, SOUTH, WHERE, Kept, with_depot
from tests.unit.support.flowlang_plugins import Parcel


@pytest.fixture
async def kept(tmp_path: Path) -> Kept:
    """With one connection, `depot`."""
    return await with_depot(tmp_path)


async def test_many_runs_open_it_once(kept: Kept) -> None:
    """At the first use, also when many come at once; it closes at the end."""
    assert Parcel.log == []
    told = await asyncio.gather(*(kept.run(WHERE) for _ in range(10)))
    assert [each["outputs"]["w.depot"] for each in told] == ["north"] * 10
    assert Parcel.log.count("open north") == 1
    assert "close north" not in Parcel.log
    await kept.connections.close()
    assert Parcel.log[-1] == "close north"


async def test_after_a_failure_there_is_no_attempt_for_a_while(kept: Kept) -> None:
    """The same error comes at once; the while doubles; success forgets it."""
    await kept.connections.configure({"depot": NORTH | {"depot": "burnt"}})
    for now, tries in ((0.0, 1), (0.9, 1), (1.1, 2), (3.0, 2), (3.2, 3)):
        kept.now = now
        with pytest.raises(ConnectionError, match="Failed to connect 'depot'"):
            await kept.connections.get_plugin("depot")
        assert Parcel.log.count("open burnt") == tries


async def test_the_pause_after_failures_is_at_most_a_minute(kept: Kept) -> None:
    """However often it has failed."""
    await kept.connections.configure({"depot": NORTH | {"depot": "burnt"}})
    for _ in range(12):
        kept.now += 60.0
        assert "Failed to connect" in str(await kept.connections.check("depot"))
    assert Parcel.log.count("open burnt") == 12
    assert str(await kept.connections.check("depot")).endswith("(tried again in 60 s)")


async def test_opening_belongs_to_each_attempt_of_a_task(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that did not open is tried again with the task."""
    opened = Parcel.connect
    ways = iter(["flooded", "flooded"])

    async def flooded(plugin: Parcel, config: dict[str, Any]) -> None:
        for way in ways:
            raise OSError(way)
        await opened(plugin, config)

    monkeypatch.setattr(Parcel, "connect", flooded)
    monkeypatch.setattr(slot, "FIRST_WAIT", 0.0)
    told = await kept.run("""
steps: [{parcel_where: {id: w, connection: depot, retry: {max_attempts: 3, delay: 0}}}]
outputs: [w.depot]
""")
    assert told == {"success": True, "outputs": {"w.depot": "north"}}


async def test_a_tasks_time_runs_while_its_connection_opens(kept: Kept) -> None:
    """Opening that takes longer than the step may is given up, and what was half open closed."""
    Parcel.hanging = "open"
    told = await kept.run("steps: [{parcel_where: {connection: depot, timeout: 0.01}}]")
    assert told["cause"] == "TimeoutError: Task 'parcel_where' timed out after 0.01 s"
    assert Parcel.log == ["open north", "close north"]


async def test_what_is_being_opened_while_the_configuration_changes_is_closed(kept: Kept) -> None:
    """Who waited for it gets the one that has its name now."""
    Parcel.hanging = "open"
    waiting = [asyncio.create_task(kept.connections.get_plugin("depot")) for _ in range(3)]
    await Parcel.hangs.wait()
    await kept.connections.configure({"depot": SOUTH})
    Parcel.go_on.set()
    plugins = await asyncio.gather(*waiting)
    assert [each for each in Parcel.log if "through" not in each] == [
        "open north",
        "close north",
        "open south",
    ]
    assert len(set(plugins)) == 1
    await kept.connections.close()


async def test_closing_waits_for_what_is_being_opened(kept: Kept) -> None:
    """And closes it; nothing is opened any more."""
    Parcel.hanging = "open"
    waiting = asyncio.create_task(kept.connections.get_plugin("depot"))
    await Parcel.hangs.wait()
    closing = asyncio.create_task(kept.connections.close())
    await asyncio.sleep(0)
    Parcel.go_on.set()
    await closing
    assert Parcel.log == ["open north", "open: through", "close north"]
    with pytest.raises(ConnectionNotFoundError):
        await waiting


async def test_a_check_survives_whatever_a_plugin_raises(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is broken in any way is reported beside the others."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    for method in ("get_config_schema", "check_dependencies", "validate_config", "connect"):
        with monkeypatch.context() as patch:
            patch.setattr(Parcel, method, broken)
            kept.now += 60.0
            said = str(await kept.connections.check("depot"))
        assert "'depot' (parcel)" in said
        assert "division by zero" in said


async def test_a_task_goes_with_the_object_that_lends(kept: Kept) -> None:
    """A retry after a reconnection calls the new object's task."""
    plugin = await kept.connections.get_plugin("depot")
    assert isinstance(plugin, Parcel)

    async def broken(number: str, content: Any, connection: Any = None) -> None:
        raise OSError("gone")

    plugin._put = broken  # type: ignore[method-assign, assignment]
    told = await kept.run("""
steps:
  - parcel_put:
      {id: p, connection: depot, number: a, content: 1, retry: {max_attempts: 2, delay: 0}}
outputs: [p.count]
""")
    assert told == {"success": True, "outputs": {"p.count": 1}}


async def test_another_configuration_ends_what_has_changed(kept: Kept) -> None:
    """What is the same stays open; what is borrowed is closed when it is given back."""
    await kept.connections.configure({"depot": NORTH, "other": SOUTH})
    first = await kept.connections.get_plugin("depot")
    async with kept.connections.borrowed("other"):
        await kept.connections.configure({"depot": NORTH, "other": NORTH})
        assert "close south" not in Parcel.log
    assert Parcel.log[-1] == "close south"
    assert await kept.connections.get_plugin("depot") is first
    await kept.connections.configure({"other": NORTH})
    assert Parcel.log[-1] == "close north"
    with pytest.raises(ConnectionNotFoundError, match="Available connections: other"):
        await kept.connections.get_plugin("depot")


async def test_a_check_reports_health_without_secrets(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    """None is well; those that are open are looked after."""
    burnt = NORTH | {"depot": "burnt", "api_key": "sk_verysecret"}
    await kept.connections.configure({"depot": NORTH, "bad": burnt})
    assert await kept.connections.check("depot") is None
    assert await kept.connections.check("bad") == (
        "Failed to connect 'bad' (parcel): no way to None with [redacted]"
    )
    Parcel.hanging = "lend"
    await kept.connections.check_open()
    assert "Connection in trouble: Connection 'depot' (parcel) did not lend" in caplog.text
    assert Parcel.log.count("open burnt") == 1
