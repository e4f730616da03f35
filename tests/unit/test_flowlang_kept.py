"""Connections that outlive runs: one opening, reconnection with backoff, changes, health."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowlang.connections.connection import Patience
from flowlang.connections.kept import KeptConnections
from flowlang.exceptions import ConnectionError, ConnectionNotFoundError
from flowlang.flow import Flow
from flowlang.running import Surroundings, run_flow
from tests.unit.flowlang_plugins import Parcel, parcels

NORTH = {"type": "parcel", "depot": "north"}
SOUTH = {"type": "parcel", "depot": "south"}


class Kept:
    """Kept connections with a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.registry = parcels(folder)
        self.connections = KeptConnections(
            registry=self.registry, patience=Patience(0.05, 0.05), clock=lambda: self.now
        )

    async def run(self, text: str) -> dict[str, Any]:
        """What comes of a flow with these around it."""
        around = Surroundings(self.connections, registry=self.registry)
        return await run_flow(Flow.parse(f"flow: F\n{text}"), around=around)


@pytest.fixture
async def kept(tmp_path: Path) -> Kept:
    """With one connection, `depot`."""
    each = Kept(tmp_path)
    await each.connections.configure({"depot": NORTH})
    return each


WHERE = "steps: [{parcel_where: {id: w, connection: depot}}]\noutputs: [w.depot]"


async def test_many_runs_open_it_once(kept: Kept) -> None:
    """At the first use, also when many come at once; it closes at the end."""
    assert Parcel.log == []
    told = await asyncio.gather(*(kept.run(WHERE) for _ in range(10)))
    assert [each["outputs"]["w.depot"] for each in told] == ["north"] * 10
    assert Parcel.log.count("open north") == 1
    assert "close north" not in Parcel.log
    await kept.connections.close()
    assert Parcel.log[-1] == "close north"


async def test_after_a_failure_nobody_tries_for_a_while(kept: Kept) -> None:
    """The same error comes at once; the while doubles; success forgets it."""
    await kept.connections.configure({"depot": NORTH | {"depot": "burnt"}})
    for now, tries in ((0.0, 1), (0.9, 1), (1.1, 2), (3.0, 2), (3.2, 3)):
        kept.now = now
        with pytest.raises(ConnectionError, match="Failed to connect 'depot'"):
            await kept.connections.get_plugin("depot")
        assert Parcel.log.count("open burnt") == tries


async def test_what_was_lost_is_opened_anew(kept: Kept) -> None:
    """A task that finds its connection broken costs its own run, the next one has a new one."""
    await kept.run(WHERE)
    Parcel.hanging = "lend"
    told = await kept.run(WHERE)
    assert "Connection 'depot' did not lend within" in told["error"]
    Parcel.hanging = ""
    assert Parcel.log[-1] == "close north"
    assert (await kept.run(WHERE))["success"] is True
    assert Parcel.log.count("open north") == 2


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (OSError("broken pipe"), True),
        (EOFError(), True),
        (ValueError(), False),
        (TimeoutError(), False),
    ],
)
async def test_an_error_of_a_task_tells_whether_the_connection_is_gone(
    kept: Kept, error: Exception, lost: bool
) -> None:
    """Also when the plugin has wrapped it; what is only slow or wrong stays."""
    plugin = await kept.connections.get_plugin("depot")
    with pytest.raises(RuntimeError):
        async with kept.connections.borrowed("depot"):
            raise RuntimeError("failed") from error
    assert (await kept.connections.get_plugin("depot") is not plugin) is lost


async def test_a_lost_one_is_closed_when_its_last_borrower_has_left(kept: Kept) -> None:
    """Nobody has it closed under their hands."""
    async with kept.connections.borrowed("depot"):
        with pytest.raises(OSError, match="gone"):
            async with kept.connections.borrowed("depot"):
                raise OSError("gone")
        await kept.connections.get_plugin("depot")
        assert "close north" not in Parcel.log
    assert Parcel.log.count("close north") == 1


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


async def test_health_is_tried_and_told_without_secrets(
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
    assert "Connection lost: Connection 'depot' did not lend" in caplog.text
    assert Parcel.log.count("open burnt") == 1
