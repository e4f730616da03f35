"""Accepting a vCon: its row is committed before Redis has the vCon, and before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import orjson
import pytest
from redis import Redis

from core.concurrency.thread_pool import BoundedCalls
from core.db.custody import Custody, NewCustody
from core.db.database import Database
from core.errors import BusyError, FullError, UnavailableError, UnusableKeyError
from core.settings import DatabaseSettings
from pipeline.custody import carrying_out
from pipeline.custody.keeper import PostgresKeeper
from pipeline.ingest.idempotency import NO_KEY, registration
from pipeline.ingest.intake import Intake
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from schemas.ingested import IN_REDIS_ALONE
from tests.integration.custody.approval import approve
from tests.integration.custody.custody_scene import an_entry, rows


@pytest.fixture
def intake(
    redis: RedisConnection, client: Redis, migrated: Database, calls: BoundedCalls
) -> Intake:
    """An intake with custody in a real database; lists hold three vCons."""
    approve(client, migrated)
    keeper = PostgresKeeper(Custody(migrated), calls)
    return Intake(redis, sorted_set="vcons", max_depth=3, keeper=keeper)


async def test_a_row_for_each_request(intake: Intake, migrated: Database, client: Redis) -> None:
    """It has what Redis has of the vCon, and Redis has its name."""
    entry = an_entry(parties=[{"tel": "+12015550123"}])
    await intake.ingest(entry, ["one", "two"])
    [(lists, still_open, document, digest, terms, owner, number)] = rows(
        migrated, "lists, open, document, digest, terms, owner, number"
    )
    assert (lists, still_open) == (["one", "two"], ["one", "two"])
    assert bytes(document) == entry.document
    about = client.hgetall(keys.about(entry.vcon_uuid))
    assert (digest, owner) == (about["digest"], about["owner"])
    assert terms == orjson.loads(about["index"]) == ["tel:+12015550123"]
    assert about["version"] == str(number)
    assert about["custody:one"] == about["custody:two"]
    assert about["custody:one"].endswith(f".{number}:1")


async def test_nothing_is_kept_of_what_queues_nothing(intake: Intake, migrated: Database) -> None:
    """A duplicate, a full list and a busy vCon leave no row."""
    first = an_entry()
    await intake.ingest(first, ["one"])
    assert (await intake.ingest(first, ["one"])).outcome == "duplicate"
    for _ in range(2):
        await intake.ingest(an_entry(), ["one"])
    with pytest.raises(FullError):
        await intake.ingest(an_entry(), ["one"])
    await intake._connection.command("HSET", keys.LOCKS, first.vcon_uuid, "worker")
    with pytest.raises(BusyError):
        await intake.ingest(an_entry(uuid=first.vcon_uuid, subject="other"), ["one"])
    assert [lists for lists, *_ in rows(migrated)] == [["one"]] * 3


async def test_a_duplicate_for_another_list(
    intake: Intake, migrated: Database, client: Redis
) -> None:
    """Only what is queued now has a row; that of the list before stays."""
    entry = an_entry()
    await intake.ingest(entry, ["one"])
    await intake.ingest(entry, ["two"])
    await intake.ingest(entry, ["one", "three"])
    assert [still_open for _, still_open, *_ in rows(migrated)] == [["one"], ["two"], ["three"]]
    about = client.hgetall(keys.about(entry.vcon_uuid))
    assert len({about["custody:one"], about["custody:two"]}) == 2


@pytest.mark.parametrize("key", [None, "key"])
@pytest.mark.parametrize("size", [1, 2_000_000])
async def test_a_vcon_that_waits_without_a_row(
    intake: Intake, migrated: Database, client: Redis, key: str | None, size: int
) -> None:
    """It came in while Postgres was away: its repetition, which is answered, has a row."""
    entry = an_entry(attachments=[{"body": "x" * size, "encoding": "none"}])
    request = registration(key, entry.vcon_uuid, ["one"]) if key else NO_KEY
    await intake.ingest(entry, ["one"], in_custody=False, request=request)
    assert rows(migrated) == []
    for _ in range(2):
        assert (await intake.ingest(entry, ["one"], request=request)).outcome == "duplicate"
    assert rows(migrated) == [(["one"], ["one"], None)]
    assert client.hexists(keys.about(entry.vcon_uuid), "custody:one")
    assert client.llen("one") == 1


async def test_other_content_keeps_the_rows_of_the_lists(
    intake: Intake, migrated: Database, client: Redis
) -> None:
    """The element of the first content is still queued, and its row is released with its run."""
    entry = an_entry()
    await intake.ingest(entry, ["one"])
    await intake.ingest(an_entry(uuid=entry.vcon_uuid, subject="other"), ["one"])
    refs = client.hget(keys.about(entry.vcon_uuid), "custody:one").split(" ")
    assert [ref.partition(".")[2] for ref in refs] == [
        f"{number}:1" for (number,) in rows(migrated, "number")
    ]


async def test_a_large_vcon_is_kept_only_if_it_is_new(intake: Intake, migrated: Database) -> None:
    """Its second request writes nothing to Postgres, and one for another list does."""
    entry = an_entry(attachments=[{"body": "x" * 1_000_000, "encoding": "none"}] * 3)
    await intake.ingest(entry, ["one"])
    [(number,)] = rows(migrated, "number")
    assert (await intake.ingest(entry, ["one"])).outcome == "duplicate"
    await intake.ingest(entry, ["two"])
    assert [each for (each,) in rows(migrated, "number")] == [number, number + 1]


async def test_a_vcon_for_no_list(intake: Intake, migrated: Database) -> None:
    """Redis has it until it is deleted, and so has custody."""
    await intake.ingest(an_entry(), [])
    assert rows(migrated, "lists") == [([""],)]


async def test_vcons_that_are_queued_again(intake: Intake, migrated: Database) -> None:
    """Each has a row with its document; one that Redis does not have has none."""
    entry, unknown = an_entry(), an_entry()
    await intake.ingest(entry, [])
    assert await intake.enqueue([entry.vcon_uuid, unknown.vcon_uuid], "one") == [unknown.vcon_uuid]
    [_, (lists, document)] = rows(migrated, "lists, document")
    assert (lists, orjson.loads(document)) == (["one"], orjson.loads(entry.document))


async def test_a_requested_run(intake: Intake, migrated: Database, client: Redis) -> None:
    """Its row has the run and the idempotency key; the same request again has none."""
    entry = an_entry()
    await intake.ingest(entry, (), in_custody=False)
    run, again = "019aa000-0000-7000-8000-000000000001", "019aa000-0000-7000-8000-000000000002"
    for each in (run, again):
        found = await intake.enqueue_run(entry.vcon_uuid, each, "main", b'{"a":1}', "key")
        assert found == run
    [(lists, run_id, remembered, state)] = rows(migrated, "lists, run_id, keys, state")
    assert (lists, str(run_id), state) == ([f"run:main|{run}"], run, {"a": 1})
    assert remembered["pc:idem:key"] == client.get("pc:idem:key")
    assert client.hexists(keys.about(entry.vcon_uuid), f"custody:run:main|{run}")


async def test_an_idempotency_key(intake: Intake, migrated: Database, client: Redis) -> None:
    """The row has the value that Redis has, so that it can be restored."""
    entry = an_entry()
    request = registration("key", entry.vcon_uuid, ["one"])
    await intake.ingest(entry, ["one"], request=request)
    [(remembered,)] = rows(migrated, "keys")
    assert remembered == {request.name: client.get(request.name)}


async def test_requests_at_once_share_a_statement(
    intake: Intake, migrated: Database, client: Redis
) -> None:
    """All rows but the first have the time of one transaction, and each vCon has its own."""
    entries = [an_entry() for _ in range(3)]
    await asyncio.gather(*(intake.ingest(each, [each.vcon_uuid]) for each in entries))
    found = rows(migrated, "vcon_uuid, number, accepted_at")
    assert len({time for _, _, time in found}) <= 2
    for vcon_uuid, number, _ in found:
        assert client.hget(keys.about(str(vcon_uuid)), "version") == str(number)


async def test_redis_is_not_approved(
    intake: Intake, migrated: Database, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is queued on a server that recovery has not seen yet, and nothing is kept."""
    monkeypatch.setattr(carrying_out, "SECONDS", 0.1)
    entry, here = an_entry(), an_entry()
    await intake.ingest(here, [])
    client.hdel(keys.EPOCH, "server")
    for refused in (
        intake.ingest(entry, ["one"]),
        intake.enqueue([here.vcon_uuid], "one"),
        intake.enqueue_run(here.vcon_uuid, "019aa000-0000-7000-8000-000000000001", "main", b"{}"),
    ):
        with pytest.raises(UnavailableError, match="Redis is being recovered"):
            await refused
    assert rows(migrated, "lists") == [([""],)]
    assert not client.exists("one", "run:main", keys.vcon(entry.vcon_uuid))


async def test_redis_was_superseded(
    intake: Intake, migrated: Database, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres has a later generation than this server: the request does not commit for ever."""
    monkeypatch.setattr(carrying_out, "SECONDS", 0.1)
    approve(client, migrated, 2)
    client.hset(keys.EPOCH, "generation", 1)
    with pytest.raises(UnavailableError, match="Redis is being recovered"):
        await intake.ingest(an_entry(), ["one"])
    assert (rows(migrated), client.exists("one")) == ([], 0)


async def test_nothing_is_kept_of_what_redis_refuses(
    intake: Intake, migrated: Database, client: Redis
) -> None:
    """Neither if a key has another type, nor if a list has filled up since it was checked."""
    here = an_entry()
    await intake.ingest(here, [])
    client.set("text", "")
    client.set("run:main", "")
    with pytest.raises(UnusableKeyError):
        await intake.ingest(an_entry(), ["text"])
    with pytest.raises(UnusableKeyError):
        await intake.enqueue_run(
            here.vcon_uuid, "019aa000-0000-7000-8000-000000000001", "main", b"{}"
        )
    with pytest.raises(FullError):
        await intake._put([here.vcon_uuid], "one", room=0)
    assert rows(migrated, "lists") == [([""],)]


class Late(PostgresKeeper):
    """Custody after whose first commit something happens, once."""

    def __init__(
        self, database: Database, calls: BoundedCalls, happens: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(Custody(database), calls)
        self._happens = [happens]

    async def accept(self, item: NewCustody) -> str:
        """The ref of what was committed before it happened."""
        ref = await super().accept(item)
        if self._happens:
            await self._happens.pop()()
        return ref


async def test_redis_is_approved_anew_before_the_script(
    redis: RedisConnection, client: Redis, migrated: Database, calls: BoundedCalls
) -> None:
    """The row is for the generation before, and is replaced by one for this generation."""
    approve(client, migrated)

    async def approved_again() -> None:
        approve(client, migrated, 2)

    keeper = Late(migrated, calls, approved_again)
    intake = Intake(redis, sorted_set="vcons", max_depth=3, keeper=keeper)
    entry = an_entry()
    assert (await intake.ingest(entry, ["one"])).outcome == "new"
    [(number,)] = rows(migrated, "number")
    ref = client.hget(keys.about(entry.vcon_uuid), "custody:one")
    assert ref.endswith(f".{number}:2")


async def test_a_later_request_comes_first(
    redis: RedisConnection, client: Redis, migrated: Database, calls: BoundedCalls
) -> None:
    """The document of the later row is in Redis already: the content gets a row after that."""
    approve(client, migrated)
    entry, other = an_entry(), an_entry(subject="other")
    other = replace(other, vcon_uuid=entry.vcon_uuid)
    plain = Intake(
        redis, sorted_set="vcons", max_depth=3, keeper=PostgresKeeper(Custody(migrated), calls)
    )

    async def later() -> None:
        await plain.ingest(other, ["one"])

    keeper = Late(migrated, calls, later)
    intake = Intake(redis, sorted_set="vcons", max_depth=3, keeper=keeper)
    assert (await intake.ingest(entry, ["one"])).outcome == "replaced"
    numbers = [number for (number,) in rows(migrated, "number")]
    assert client.hget(keys.about(entry.vcon_uuid), "version") == str(numbers[-1])
    assert len(numbers) == 2


@pytest.mark.parametrize("falls_back", [True, False])
async def test_postgres_away(
    redis: RedisConnection,
    client: Redis,
    database_settings: DatabaseSettings,
    calls: BoundedCalls,
    falls_back: bool,
) -> None:
    """Nothing comes in, unless the settings allow Redis alone, which the answer says."""
    away = Database()
    away.initialize(database_settings.model_copy(update={"postgres_port": 1}))
    keeper = PostgresKeeper(Custody(away), calls, falls_back=falls_back)
    intake = Intake(redis, sorted_set="vcons", max_depth=3, keeper=keeper)
    if falls_back:
        assert (await intake.ingest(an_entry(), ["one"])).warnings == [IN_REDIS_ALONE]
    else:
        with pytest.raises(UnavailableError, match="Connection refused"):
            await intake.ingest(an_entry(), ["one"])
    assert client.llen("one") == falls_back


def test_rows_can_be_of_any_form(migrated: Database) -> None:
    """Names with separators and quotes, and documents that are no text, come back as they are."""
    names = ["a b", "x,y", '"q"', "{}", "run:m|1", "\\", "NULL"]
    item = NewCustody("019aa000-0000-7000-8000-000000000001", names, b"\x00\xff{}", terms=names)
    Custody(migrated).accept([item, item])
    assert rows(migrated, "lists, terms, document") == [(names, names, b"\x00\xff{}")] * 2


async def test_recovery_names_a_row_under_another_generation(
    intake: Intake, client: Redis, redis: RedisConnection
) -> None:
    """It is the same row: Redis has a use for it, so it is not deleted."""
    entry = an_entry()
    await intake.ingest(entry, ["one"])
    about = keys.about(entry.vcon_uuid)
    ref = client.hget(about, "custody:one")
    client.hset(about, "custody:one", ref.replace(":1", ":2"))
    words = (entry.vcon_uuid, ref, entry.vcon_uuid, ref.replace(":1", "1:1"))
    assert await redis.script("unnamed", *words) == [ref.replace(":1", "1:1")]
