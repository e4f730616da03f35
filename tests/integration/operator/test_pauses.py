"""The operations that pause chains and drain replicas."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from core.errors import FullError, InvalidError, UnknownNameError, UnusableKeyError
from core.operator_interfaces import Call
from pipeline.operator import entries
from pipeline.operator.pauses import PauseOperations
from pipeline.redis_client import keys
from schemas.ingress_key import Author
from schemas.operator.pauses import (
    DrainRequest,
    DrainResult,
    Pause,
    PauseRequest,
    Pauses,
    PausesQuery,
    Resumed,
    ResumeRequest,
    UndrainRequest,
)
from tests.integration.operator.replica_scene import register_of
from tests.integration.support.pipeline_fixtures import Scene, both, configured, link
from tests.integration.worker.worker_scene import Gate

if TYPE_CHECKING:
    from redis import Redis

    from pipeline.operator.register import Register

MAIN = configured()
HOUR_MS = 3_600_000


class Operator:
    """An operator's calls."""

    def __init__(self, scene: Scene, configuration: Any = MAIN) -> None:
        self.operations = PauseOperations(scene.redis, configuration)
        self.lines: asyncio.Queue[str] = asyncio.Queue()
        self.call = Call(Author(actor="me"), "because", self.lines.put_nowait)

    async def pause(self, chain: str = "main", seconds: float | None = None) -> Pause:
        """Pause a chain."""
        return await self.operations.pause(PauseRequest(chain=chain, seconds=seconds), self.call)

    async def resume(self, chain: str = "main") -> Resumed:
        """End its pause."""
        return await self.operations.resume(ResumeRequest(chain=chain), self.call)

    async def drain(self, replica: str, wait: float = 0) -> DrainResult:
        """Drain a replica."""
        return await self.operations.drain(DrainRequest(replica=replica, wait=wait), self.call)

    async def undrain(self, replica: str) -> Any:
        """End its drain."""
        return await self.operations.undrain(UndrainRequest(replica=replica), self.call)

    async def told(self) -> Pauses:
        """What is in force."""
        return await self.operations.pauses(PausesQuery(), self.call)


async def test_a_pause_says_who_why_and_until_when(scene: Scene) -> None:
    """A second one replaces it; `resume` tells which one it has ended, once."""
    operator = Operator(scene)
    first, second = await operator.pause(), await operator.pause(seconds=3600)
    assert (first.until, first.by, first.reason) == (None, "me", "because")
    assert second.until is not None
    assert second.at is not None
    assert (second.until - second.at).total_seconds() == 3600
    assert (await operator.told()).paused == [second]
    assert (await operator.resume()).before == second
    assert (await operator.resume()).before is None
    assert (await operator.told()).paused == []


async def test_only_chains_of_the_configuration_are_paused(scene: Scene) -> None:
    """The error names them; a pause of a chain that was removed since can be ended."""
    both_chains = Operator(scene, both(MAIN, configured(name="gone", ingress=("g",))))
    await both_chains.pause("gone")
    operator = Operator(scene)
    for call in (operator.pause, operator.resume):
        with pytest.raises(UnknownNameError, match="Unknown chain: nowhere; known: main"):
            await call("nowhere")
    [pause] = (await operator.told()).paused
    assert (pause.chain, pause.configured) == ("gone", False)
    assert (await operator.resume("gone")).before == pause


async def test_there_are_so_many_pauses_and_no_more(
    scene: Scene, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each claim looks at them; one that is there can be changed and ended."""
    monkeypatch.setattr(entries, "MOST_ENTRIES", 2)
    client.hset(keys.PAUSED, mapping={"a": "{}", "b": "{}"})
    operator = Operator(scene)
    with pytest.raises(FullError, match="pc:paused has 2 entries already"):
        await operator.pause()
    await operator.resume("b")
    await operator.pause()
    await operator.pause(seconds=5)


async def test_a_key_of_another_type_is_named(scene: Scene, client: Redis) -> None:
    """Nothing is written."""
    client.set(keys.PAUSED, "another program's")
    operator = Operator(scene)
    for call in (operator.pause, operator.resume, operator.told):
        with pytest.raises(UnusableKeyError, match=keys.PAUSED):
            await call()
    assert client.get(keys.PAUSED) == "another program's"


@pytest.mark.parametrize("reason", ["\x1b[31m[bold]<script>", "x" * 500, "\ud800", "\0"])
async def test_any_reason_is_kept(scene: Scene, reason: str) -> None:
    """As it is, without what no answer can hold."""
    operator = Operator(scene)
    operator.call = Call(Author(actor=reason), reason)
    pause = await operator.pause()
    assert pause.model_dump_json()
    assert pause.reason[:8] == reason[:8].replace("\ud800", "\ufffd").replace("\0", "\ufffd")
    assert await operator.resume()


async def test_names_that_no_answer_can_hold_are_shown(scene: Scene, client: Redis) -> None:
    """Another program may put any bytes there."""
    for key in (keys.PAUSED, keys.DRAINED):
        client.hset(key, b"\xff\0" + b"x" * 1000, "{}")  # type: ignore[arg-type]
        client.hset(key, "[bold]<b>", "{}")
    told = await Operator(scene).told()
    assert told.model_dump_json()
    names = [each.chain[:9] for each in told.paused], [each.replica[:9] for each in told.drained]
    assert names == (["[bold]<b>", "\ufffd\ufffdxxxxxxx"],) * 2


async def registered(scene: Scene, name: str, *workers: str) -> Register:
    """A replica that has given a sign of life."""
    register = register_of(scene.redis, MAIN, name, workers=workers, slots=4)
    await register.sign()
    return register


async def test_a_replica_is_named_by_id_host_or_beginning(scene: Scene) -> None:
    """A name that may mean several is refused with them, an unknown one with those there are."""
    web, web1, batch = [await registered(scene, name) for name in ("web", "web-1", "batch")]
    operator = Operator(scene)
    for name, meant in ((web.id, web), ("web", web), ("web-", web1), ("ba", batch)):
        assert (await operator.drain(name)).drained.replica == meant.id
        assert (await operator.undrain(name)).before is not None
    with pytest.raises(InvalidError, match=r"w may mean web-1:.*, web:"):
        await operator.drain("w")
    with pytest.raises(UnknownNameError, match="Unknown replica: nowhere; known: batch:"):
        await operator.drain("nowhere")
    assert (await operator.told()).drained == []


async def test_a_drained_replica_finishes_what_it_holds(scene: Scene) -> None:
    """The answer tells what that is, and waits until it is nothing, with progress."""
    gate = Gate()
    chain = configured(links=[link(gate.run)])
    await scene.start(chain, "one")
    [fed] = await scene.feed()
    await gate.arrival()
    register = await registered(scene, "web", "one")
    operator = Operator(scene, chain)
    result = await operator.drain("web")
    assert (result.holds_nothing, result.waited) == (False, False)
    assert result.replica is not None
    assert ([each.vcon for each in result.replica.held], result.replica.in_flight) == ([fed], 1)
    waiting = asyncio.create_task(operator.drain("web", wait=60))
    assert "holds 1 run; the oldest: vCon " in await operator.lines.get()
    gate.open.set()
    await scene.finished()
    while not waiting.done():
        await register.sign()
    assert (await waiting).holds_nothing


async def test_a_replica_holds_nothing_only_by_a_sign_after_the_drain(scene: Scene) -> None:
    """An earlier one may lack a worker that was just started and has claimed."""
    await registered(scene, "web", "one")
    assert not (await Operator(scene).drain("web")).holds_nothing


async def test_waiting_ends_with_the_replica_or_its_drain(scene: Scene, client: Redis) -> None:
    """There is nothing to wait for then."""
    register = await registered(scene, "web", "one")
    client.hset(keys.inflight("one"), "v", "1\nr\nin\nv")
    operator = Operator(scene)
    waiting = asyncio.create_task(operator.drain("web", wait=60))
    await operator.lines.get()
    await Operator(scene).undrain("web")
    result = await waiting
    assert not result.holds_nothing
    assert result.replica is not None
    assert result.replica.drained is None
    operator = Operator(scene)
    waiting = asyncio.create_task(operator.drain("web", wait=60))
    await operator.lines.get()
    await register.leave()
    ended = await waiting
    assert (ended.replica, ended.holds_nothing) == (None, True)


async def test_the_end_of_a_drained_replica_is_told(scene: Scene) -> None:
    """Its drain can be ended by the id that it had."""
    register = await registered(scene, "web")
    operator = Operator(scene)
    await operator.drain("web")
    await register.leave()
    [drained] = (await operator.told()).drained
    assert (drained.replica, drained.running) == (register.id, False)
    assert (await operator.undrain("web")).before == drained


async def test_an_entry_that_changes_meanwhile_is_written_again(
    scene: Scene, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two operators at once: the last one counts, and neither is lost in between."""
    operator = Operator(scene)
    replace, tries = entries.Entries.replace, []

    async def overtaken(self: entries.Entries, name: str, before: str, text: str) -> bool:
        tries.append(before)
        if len(tries) == 1:
            client.hset(keys.PAUSED, "main", json.dumps({"by": "another"}))
        return await replace(self, name, before, text)

    monkeypatch.setattr(entries.Entries, "replace", overtaken)
    await operator.pause()
    assert tries == ["", '{"by": "another"}']
    assert [each.by for each in (await operator.told()).paused] == ["me"]
