"""A storage of two chains that refuses a vCon in both: each chain still ends its run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pipeline.admin.auto_replay import AutoReplay
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from tests.integration.support.dead_letters_scene import replay
from tests.integration.support.operations_scene import FOR_EVER, RUN_EXPIRY, Operations, operations
from tests.integration.support.pipeline_fixtures import a_vcon, both, configured, storage

SHELF, CELLAR = "DLQ:storage:shelf", "DLQ:storage:cellar"


class Shelves:
    """Storages that are down while they are named, and what they were asked to take."""

    def __init__(self) -> None:
        self.down = {"shelf", "cellar"}
        self.asked: list[str] = []

    def called(self, name: str) -> Any:
        """The storage of this name."""

        def save(vcon_uuid: str, options: dict[str, Any]) -> None:
            self.asked.append(name)
            if name in self.down:
                raise OSError(f"{name} is down")

        return storage(save, name)


@pytest.fixture
def shelves() -> Shelves:
    """Storages that are down."""
    return Shelves()


def chains(shelves: Shelves, **changes: Any) -> Configuration:
    """Chain `a` has both storages, chain `b` the shelf only; changes are those of `b`."""
    a = configured(
        name="a",
        ingress=("ina",),
        egress=("outa",),
        storages=[shelves.called("shelf"), shelves.called("cellar")],
    )
    shelf = [shelves.called("shelf")]
    return both(
        a, configured(name="b", ingress=("inb",), egress=("outb",), storages=shelf, **changes)
    )


@pytest.fixture
async def ops(redis_url: str, shelves: Shelves) -> AsyncIterator[Operations]:
    """Two chains with one shelf."""
    async with operations(redis_url) as opened:
        opened.configure(chains(shelves))
        yield opened


async def refused(ops: Operations, *lists: str) -> str:
    """A vCon that was refused out of each of these lists, one after the other."""
    vcon_uuid = await ops.ingest()
    for name in lists:
        await ops.intake.enqueue([vcon_uuid], name)
        [ended] = await ops.work()
        assert ended.status == "partial"
    return vcon_uuid


def run_of(ops: Operations, letters: str, vcon_uuid: str) -> str:
    """The run that the newest reason in a list is of."""
    return str(ops.workers.reason(letters, vcon_uuid)["run_id"])


def run_left(ops: Operations, run_id: str) -> int:
    """Seconds that a run has left."""
    return int(ops.client.ttl(keys.run(run_id)))


async def test_both_chains_forward_it_once_the_storage_is_back(
    ops: Operations, shelves: Shelves
) -> None:
    """The storage's dead letters come back by themselves until each chain has ended its run."""
    vcon_uuid = await refused(ops, "ina", "inb")
    assert ops.list(SHELF) == [vcon_uuid]
    shelves.down.clear()
    await ops.workers.start(ops.configuration)
    replica = AutoReplay(ops.redis, ops.configuration, ops.operations, 60.0)
    for _ in range(2):
        await replica.round()
        await ops.workers.finished()
    assert (ops.list("outa"), ops.list("outb")) == ([vcon_uuid], [vcon_uuid])
    assert (ops.list(SHELF), ops.list(CELLAR)) == ([], [])
    assert ops.holders(vcon_uuid) == {"outa", "outb"}


async def test_a_replay_for_one_chain_leaves_the_other_s_letter(
    ops: Operations, shelves: Shelves
) -> None:
    """Also when it was asked for by way of a storage that only the one chain has."""
    vcon_uuid = await refused(ops, "ina", "inb")
    first = run_of(ops, CELLAR, vcon_uuid)
    shelves.down.clear()
    assert await replay(ops, storage_name="cellar") == 1
    assert (ops.list(SHELF), ops.list(CELLAR)) == ([vcon_uuid], [])
    assert 0 < run_left(ops, first) <= RUN_EXPIRY
    assert run_left(ops, run_of(ops, SHELF, vcon_uuid)) == FOR_EVER
    await ops.work()
    assert (ops.list("outa"), ops.list("outb")) == ([vcon_uuid], [])
    assert await replay(ops, storage_name="shelf") == 1
    await ops.work()
    assert (ops.list("outb"), ops.holders(vcon_uuid)) == ([vcon_uuid], {"outa", "outb"})


async def test_every_reason_is_told(ops: Operations) -> None:
    """The newest first, the other chain's beside it, once for each list."""
    vcon_uuid = await refused(ops, "ina", "inb", "ina")
    [letter] = (await ops.operations.dead_letters(None, "shelf", 10, None)).entries
    [other] = letter.beside
    assert (letter.chain, other.chain, other.vcon_uuid) == ("a", "b", vcon_uuid)


async def test_a_chain_that_does_not_consume_keeps_no_other_back(
    ops: Operations, shelves: Shelves
) -> None:
    """What is replayed is the reason that can go on, though it is not the newest."""
    vcon_uuid = await refused(ops, "ina", "inb")
    shelves.down.clear()
    ops.configure(chains(shelves, enabled=False))
    assert await replay(ops, storage_name="shelf") == 1
    await ops.work()
    assert (ops.list("outa"), ops.list(SHELF)) == ([vcon_uuid], [vcon_uuid])
    assert ops.workers.reason(SHELF, vcon_uuid)["chain"] == "b"


async def test_what_is_taken_out_by_hand_is_one_run_s(ops: Operations) -> None:
    """The other chain's letter is in the list after the next sweep, and holds the vCon."""
    vcon_uuid = await refused(ops, "ina", "inb")
    taken = run_of(ops, SHELF, vcon_uuid)
    ops.client.lpop(SHELF)
    await ops.sweep()
    assert (ops.list(SHELF), ops.holders(vcon_uuid)) == ([vcon_uuid], {SHELF, CELLAR})
    assert ops.workers.reason(SHELF, vcon_uuid)["chain"] == "a"
    assert 0 < run_left(ops, taken) <= RUN_EXPIRY


async def test_a_run_stays_as_long_as_another_storage_needs_it(ops: Operations) -> None:
    """One of its two dead letters was taken out by hand: the other goes on from the journal."""
    vcon_uuid = await refused(ops, "ina")
    run = run_of(ops, CELLAR, vcon_uuid)
    for letters, left in ((SHELF, range(FOR_EVER, 0)), (CELLAR, range(1, RUN_EXPIRY + 1))):
        ops.client.lpop(letters)
        await ops.sweep()
        assert run_left(ops, run) in left


async def test_a_run_that_was_repeated_goes(ops: Operations) -> None:
    """The same list once more: the later run is what a replay goes on from."""
    vcon_uuid = await refused(ops, "ina")
    earlier = run_of(ops, SHELF, vcon_uuid)
    await ops.intake.enqueue([vcon_uuid], "ina")
    await ops.work()
    assert run_left(ops, earlier) > 0
    assert run_left(ops, run_of(ops, SHELF, vcon_uuid)) == FOR_EVER


async def test_deleting_lets_every_run_go(ops: Operations) -> None:
    """Nothing of either chain is left."""
    vcon_uuid = await refused(ops, "ina", "inb")
    await ops.operations.delete(vcon_uuid, [])
    assert ops.traces(vcon_uuid) == []
    assert all(0 < run_left(ops, run) <= RUN_EXPIRY for run in ops.workers.run_ids())


async def test_new_content_goes_through_both_chains_from_the_start(
    ops: Operations, shelves: Shelves
) -> None:
    """No journal of the old content is gone on from."""
    shelves.down = {"shelf"}
    vcon_uuid = await refused(ops, "ina", "inb")
    await ops.take(a_vcon(vcon_uuid, subject="new"))
    assert ops.workers.run_ids() == []
    shelves.down.clear()
    for _ in range(2):
        assert await replay(ops, storage_name="shelf") == 1
        await ops.work()
    assert (ops.list("outa"), ops.list("outb")) == ([vcon_uuid], [vcon_uuid])
