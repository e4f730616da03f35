"""The operations as the actions reach them: names are checked, storages asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import (
    FullError,
    InvalidError,
    UnavailableError,
    UnknownNameError,
)
from tests.integration.support.operations_scene import (
    EXPIRY,
    FOR_EVER,
    MAX_DEPTH,
    Operations,
    filed,
    operations,
    two_chains,
)
from tests.integration.support.pipeline_fixtures import a_vcon, configured, new_uuid


@pytest.fixture
async def ops(redis_url: str, tmp_path: Path, monkeypatch: Any) -> AsyncIterator[Operations]:
    """Chains from `in` over `middle` to `out`, and storages that are only read and deleted from."""
    monkeypatch.syspath_prepend(tmp_path)
    async with operations(redis_url) as opened:
        opened.configure(two_chains(tmp_path))
        yield opened


async def test_enqueue_what_is_here_and_what_a_storage_has(ops: Operations) -> None:
    """A vCon that is only in a storage is brought back; an unknown uuid is named."""
    here, stored, nobody = await ops.ingest(), await ops.ingest(), new_uuid()
    await filed(ops, stored)
    ops.forget_time(stored)
    assert await ops.operations.enqueue([here, nobody, stored.upper()], "in") == [nobody]
    assert ops.list("in") == [here, stored]
    assert (ops.left(stored), ops.holders(stored)) == (FOR_EVER, {"in"})


async def test_enqueue_counts_a_vcon_once(ops: Operations) -> None:
    """The same uuid in two spellings is one vCon."""
    vcon_uuid = await ops.ingest()
    assert await ops.operations.enqueue([vcon_uuid, vcon_uuid.upper()], "in") == []
    assert ops.list("in") == [vcon_uuid]


async def test_enqueue_into_a_list_that_no_chain_reads(ops: Operations) -> None:
    """The error names the lists there are; no list is made."""
    vcon_uuid = await ops.ingest()
    with pytest.raises(UnknownNameError, match="Unknown ingress list: other; known: in, middle"):
        await ops.operations.enqueue([vcon_uuid], "other")
    assert ops.client.exists("other") == 0


async def test_enqueue_into_a_full_list(ops: Operations) -> None:
    """A full list is told, and no vCon is queued."""
    uuids = [await ops.ingest() for _ in range(MAX_DEPTH + 1)]
    with pytest.raises(UnavailableError, match="is full"):
        await ops.operations.enqueue(uuids, "in")
    assert ops.client.exists("in") == 0


async def test_enqueue_into_a_list_of_a_disabled_chain(ops: Operations) -> None:
    """The vCon waits there; the chain's rules hold already."""
    vcon_uuid = await ops.ingest()
    ops.configure(configured(name="off", ingress=("waits",), enabled=False))
    assert await ops.operations.enqueue([vcon_uuid], "waits") == []
    assert ops.list("waits") == [vcon_uuid]
    sealed = await ops.ingest(critical=["extension-x"])
    with pytest.raises(InvalidError, match="chain off"):
        await ops.operations.enqueue([sealed], "waits")


async def test_dead_letters_of_an_unknown_list(ops: Operations) -> None:
    """The error names what there is: ingress lists and run lists, or storages."""
    known = "in, middle, run:main, run:next"
    with pytest.raises(UnknownNameError, match=f"Unknown ingress list: x; known: {known}"):
        await ops.operations.dead_letters("x", None, 1, None)
    known = "broken, files, forgetful, redis"
    with pytest.raises(UnknownNameError, match=f"Unknown storage: x; known: {known}"):
        await ops.operations.dead_letters(None, "x", 1, None)


async def test_dead_letters_outlive_their_list(ops: Operations) -> None:
    """Of a list or storage that is no longer configured they can be seen as long as they last."""
    ops.client.rpush("DLQ:old", "a")
    ops.client.rpush("DLQ:storage:old", "b")
    assert (await ops.operations.dead_letters("old", None, 1, None)).total == 1
    assert (await ops.operations.dead_letters(None, "old", 1, None)).total == 1


async def test_a_disabled_chain_s_dead_letters_can_be_seen(ops: Operations) -> None:
    """Its lists are known, with or without dead letters."""
    ops.configure(configured(enabled=False))
    assert (await ops.operations.dead_letters("in", None, 1, None)).total == 0


async def test_an_egress_list_that_a_chain_reads_is_not_for_readers(ops: Operations) -> None:
    """Reading from it would take vCons from that chain."""
    with pytest.raises(InvalidError, match="chain next reads it"):
        await ops.operations.read_egress("middle", 1, 1)
    with pytest.raises(InvalidError, match="chain next reads it"):
        await ops.operations.acknowledge("middle", [])


async def test_an_unknown_egress_list(ops: Operations) -> None:
    """The error names those there are."""
    with pytest.raises(UnknownNameError, match="Unknown egress list: in; known: middle, out"):
        await ops.operations.read_egress("in", 1, 1)


async def test_read_and_acknowledge(ops: Operations) -> None:
    """A vCon that went through both chains is read and acknowledged, and then its time runs."""
    vcon_uuid = await ops.ingest("in")
    await ops.work(2)
    assert await ops.operations.read_egress("out", 5, 60) == [vcon_uuid]
    assert await ops.operations.acknowledge("out", [vcon_uuid]) == 1
    assert 0 < ops.left(vcon_uuid) <= EXPIRY


async def test_searching_for_nothing(ops: Operations) -> None:
    """At least one term must be given."""
    with pytest.raises(InvalidError, match="at least one of tel, mailto, name"):
        await ops.operations.search([], 1, None)


async def test_the_catalogue_by_time(ops: Operations) -> None:
    """Vcons are told with their page."""
    vcon = a_vcon()
    await ops.take(vcon)
    assert (await ops.operations.vcons(None, None, 1, None)).vcon_uuids == [vcon["uuid"]]


async def test_without_postgres_there_is_no_history(ops: Operations) -> None:
    """Looking through runs says that it is unavailable."""
    with pytest.raises(UnavailableError):
        await ops.operations.runs(None)  # type: ignore[arg-type]


async def test_many_vcons_are_queued_or_none(ops: Operations) -> None:
    """More than one script call looks at: the last one's refusal holds for the first as well."""
    uuids = [new_uuid() for _ in range(150)]
    for each in uuids:
        ops.client.json().set(f"vcon:{each}", ".", {"uuid": each})
    ops.intake._max_depth = 149
    with pytest.raises(FullError):
        await ops.operations.enqueue(uuids, "in")
    ops.intake._max_depth = 150
    ops.client.json().set(f"vcon:{uuids[-1]}", ".", {"payload": "", "signatures": []})
    with pytest.raises(InvalidError, match=uuids[-1]):
        await ops.operations.enqueue(uuids, "in")
    assert ops.list("in") == []
    ops.client.json().set(f"vcon:{uuids[-1]}", ".", {"uuid": uuids[-1]})
    assert await ops.operations.enqueue(uuids, "in") == []
    assert ops.list("in") == uuids
