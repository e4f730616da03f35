"""From the end of a run, over Redis, into the index in Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis import Redis

from core.db.database import Database
from core.errors import UnavailableError
from lib.vcon_redis import AsyncVconRedis
from pipeline.admin.run_archive import RunOutbox
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.stored.index import StoredIndex
from schemas.stored_vcon import StoredVcon
from tests.integration.stored.stored_scene import index_of, outbox_of
from tests.integration.support.operations_scene import (
    Operations,
    filed,
    operations,
    two_chains,
)
from tests.integration.support.pipeline_fixtures import (
    Scene,
    a_vcon,
    configured,
    link,
    new_uuid,
    storage,
)

ANN = {"tel": "(201) 555-0123", "name": "Ann", "mailto": "Ann@Example.org"}
NUMBER = "+12015550123"


@pytest.fixture
def index(migrated: Database) -> StoredIndex:
    """The index of a service without a secret of its own."""
    return index_of(migrated)


@pytest.fixture
async def ops(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Operations]:
    """Two chains, and storages of which some can delete."""
    monkeypatch.syspath_prepend(tmp_path)
    async with operations(redis_url) as opened:
        opened.configure(two_chains(tmp_path))
        yield opened


async def feed(scene: Scene, **changes: Any) -> str:
    """Put a vCon into `in` as an adapter does; its uuid."""
    document = a_vcon(**changes)
    await scene.store.put(document)
    await scene.redis.command("RPUSH", "in", document["uuid"])
    return str(document["uuid"])


async def found(index: StoredIndex, tel: str = NUMBER) -> list[StoredVcon]:
    """The vCons of a number."""
    return await index.find("tel", index.normal("tel", tel), 10, None)


async def drained(outbox: RunOutbox) -> None:
    """Everything is in Postgres."""
    while await outbox.drain():
        pass


async def test_a_vcon_is_found_when_redis_has_forgotten_it(
    scene: Scene, migrated: Database, index: StoredIndex
) -> None:
    """By a number written otherwise, with its chain and the storages that have it."""

    def broken(_uuid: str, _options: Any) -> None:
        raise OSError

    await scene.start(configured(storages=[storage(), storage(broken, "broken")]))
    vcon_uuid = await feed(scene, parties=[ANN])
    await scene.ended()
    await drained(outbox_of(scene.redis, migrated, index))
    scene.client.flushdb()
    for spelling in (NUMBER, "tel:+1-201-555-0123", "2015550123"):
        [stored] = await found(index, spelling)
        assert (stored.uuid, stored.chains, stored.storages) == (vcon_uuid, ["main"], ["shelf"])
    assert [each.uuid for each in await index.find("name", "ann", 5, None)] == [vcon_uuid]
    assert [each.uuid for each in await index.find("mailto", "ann@example.org", 5, None)] == [
        vcon_uuid
    ]
    assert await found(index, "+12015550124") == []


async def test_parties_that_a_link_adds_or_a_vcon_that_it_makes_are_found(
    scene: Scene, migrated: Database, index: StoredIndex
) -> None:
    """The index has the document as it was stored, and the one that came in."""
    made = new_uuid()

    async def replace(vcon_uuid: str, _name: str, _options: Any) -> str:
        await AsyncVconRedis().store_vcon_dict(a_vcon(made, parties=[ANN]))
        return made

    await scene.start(configured(links=[link(replace)], storages=[storage()]))
    vcon_uuid = await feed(scene)
    await scene.ended()
    await drained(outbox_of(scene.redis, migrated, index))
    assert [(each.uuid, each.storages) for each in await found(index)] == [(made, ["shelf"])]
    known = await index.get([vcon_uuid])
    assert (known[vcon_uuid].chains, known[vcon_uuid].storages) == (["main"], [])
    assert await index.known("tel", index.normal("tel", "+15550100"), [vcon_uuid, made]) == {
        vcon_uuid
    }


async def test_postgres_being_away_loses_no_note(
    scene: Scene, migrated: Database, index: StoredIndex
) -> None:
    """Also when the vCon has expired in Redis before Postgres is back."""
    await scene.start(configured(storages=[storage()]))
    vcon_uuid = await feed(scene, parties=[ANN])
    await scene.ended()

    async def away(_runs: Any, _notes: Any) -> None:
        raise UnavailableError

    with pytest.raises(UnavailableError):
        await RunOutbox(scene.redis, away, 200_000).drain()
    scene.client.delete(keys.vcon(vcon_uuid), keys.about(vcon_uuid))
    assert scene.client.llen(keys.INDEX) == scene.client.llen(keys.HISTORY) == 1
    await drained(outbox_of(scene.redis, migrated, index))
    assert [each.uuid for each in await found(index)] == [vcon_uuid]
    assert scene.client.exists(keys.INDEX, keys.HISTORY) == 0


async def test_a_worker_of_the_version_before_writes_no_notes(
    redis: RedisConnection, client: Redis, migrated: Database, index: StoredIndex
) -> None:
    """Its runs are recorded; and its service leaves the notes of newer workers in Redis."""
    run = {"run_id": new_uuid(), "chain": "main", "vcon_in": new_uuid(), "status": "done"}
    run |= {"vcon_out": run["vcon_in"], "config_hash": "", "attempts": 1, "steps": []}
    client.rpush(keys.HISTORY, orjson.dumps(run))
    await drained(outbox_of(redis, migrated, index))
    assert client.exists(keys.HISTORY) == 0


async def test_a_list_that_another_program_has_taken_holds_up_no_history(
    redis: RedisConnection, client: Redis, migrated: Database, index: StoredIndex
) -> None:
    """There are no notes then."""
    client.set(keys.INDEX, "another program's")
    run = {"run_id": new_uuid(), "chain": "main", "vcon_in": new_uuid(), "status": "done"}
    run |= {"vcon_out": run["vcon_in"], "config_hash": "", "attempts": 1, "steps": []}
    client.rpush(keys.HISTORY, orjson.dumps(run))
    await drained(outbox_of(redis, migrated, index))
    assert client.exists(keys.HISTORY) == 0


async def test_a_note_that_no_row_can_hold_is_left_out(
    redis: RedisConnection, client: Redis, migrated: Database, index: StoredIndex
) -> None:
    """Another program's element holds up neither the other notes nor the history."""
    vcon_uuid = new_uuid()
    good = '{"chain":"main","storages":["s"]}'
    client.rpush(keys.INDEX, "x", f"{good}\n1\n{vcon_uuid}\n", f"{good}\n{2**61}\n{new_uuid()}\n")
    await drained(outbox_of(redis, migrated, index))
    assert list(await index.get([vcon_uuid])) == [vcon_uuid]


async def test_a_vcon_stored_without_a_run_and_then_deleted(
    ops: Operations, migrated: Database, index: StoredIndex
) -> None:
    """`StoreVcon` notes the storage, `DeleteVcon` which storages no longer have it."""
    outbox = outbox_of(ops.redis, migrated, index)
    vcon_uuid = await ops.ingest(parties=[ANN])
    await filed(ops, vcon_uuid)
    for name in ("files", "forgetful"):
        await ops.workers.queues.note_saved(vcon_uuid, name)
    await drained(outbox)
    [stored] = await found(index)
    assert (stored.uuid, stored.chains, sorted(stored.storages)) == (
        vcon_uuid,
        [],
        ["files", "forgetful"],
    )
    await ops.operations.delete(vcon_uuid, ["files"])
    await drained(outbox)
    [stored] = await found(index)
    assert stored.storages == ["forgetful"]


async def test_a_vcon_that_is_deleted_everywhere_is_not_found(
    ops: Operations, migrated: Database, index: StoredIndex
) -> None:
    """Its row has no terms any more."""
    outbox = outbox_of(ops.redis, migrated, index)
    vcon_uuid = await ops.ingest(parties=[ANN])
    await filed(ops, vcon_uuid)
    await ops.workers.queues.note_saved(vcon_uuid, "files")
    await ops.operations.delete(vcon_uuid, ["files"])
    await drained(outbox)
    assert await found(index) == []
    assert await index.get([vcon_uuid]) == {}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"index_secret": "a-secret-of-16-or-more"}),
        (
            {"index_secret": "a-secret-of-16-or-more"},
            {
                "index_secret": "another-secret-of-16",
                "index_secrets_earlier": "a-secret-of-16-or-more",
            },
        ),
        ({}, {"index_terms_clear": True}),
        ({"index_terms_clear": True}, {}),
    ],
)
async def test_rows_from_before_a_change_of_settings_are_found(
    ops: Operations, migrated: Database, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """A rotated secret, one that is set later, and clear terms or hashes."""
    for settings in (first, second):
        index = index_of(migrated, **settings)
        vcon_uuid = await ops.ingest(parties=[ANN])
        await ops.workers.queues.note_saved(vcon_uuid, "files")
        await drained(outbox_of(ops.redis, migrated, index))
    assert len(await found(index)) == 2


async def test_an_unknown_secret_finds_nothing(ops: Operations, migrated: Database) -> None:
    """Nor does the table say a number."""
    vcon_uuid = await ops.ingest(parties=[ANN])
    await ops.workers.queues.note_saved(vcon_uuid, "files")
    await drained(outbox_of(ops.redis, migrated, index_of(migrated, index_secret="one-" * 5)))
    other = index_of(migrated, index_secret="two-" * 5)
    assert await found(other) == []
    assert await other.unknown_secrets() == 1
    knowing = index_of(migrated, index_secrets_earlier=f"x, {'one-' * 5}")
    assert [each.uuid for each in await found(knowing)] == [vcon_uuid]
    assert await knowing.unknown_secrets() == 0


HUGE = {"tel": "x" * 2_000_000, "name": "Ann"}


async def test_members_too_long_for_a_note_are_left_out(
    redis: RedisConnection, client: Redis, migrated: Database, index: StoredIndex, scene: Scene
) -> None:
    """A document of another program: the note stays small, and the vCon is indexed."""
    [vcon_uuid] = [new_uuid()]
    client.json().set(keys.vcon(vcon_uuid), ".", a_vcon(vcon_uuid, parties=[HUGE, ANN]))
    await scene.queues.note_saved(vcon_uuid, "files")
    assert client.memory_usage(keys.INDEX) < 5000
    await drained(outbox_of(redis, migrated, index))
    assert list(await index.get([vcon_uuid])) == [vcon_uuid]
