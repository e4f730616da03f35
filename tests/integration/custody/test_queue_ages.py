"""How long the next vCon of each list has waited since it was accepted."""

from datetime import timedelta

from redis import Redis

from core.concurrency.thread_pool import BoundedCalls
from core.db.custody import Custody, key_of
from core.db.database import Database
from pipeline.custody.keeper import PostgresKeeper
from pipeline.custody.queue_ages import queue_ages
from pipeline.ingest.intake import Intake
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from tests.integration.custody.approval import approve
from tests.integration.custody.custody_scene import an_entry

LISTS = ["one", "empty", "foreign", "hash"]


async def test_the_age_is_that_of_the_next_vcon(
    redis: RedisConnection, client: Redis, migrated: Database, calls: BoundedCalls
) -> None:
    """What is not known is left out: a vCon of another program, a key of another type."""
    approve(client, migrated)
    keeper = PostgresKeeper(Custody(migrated), calls)
    intake = Intake(redis, sorted_set="vcons", max_depth=3, keeper=keeper)
    first = an_entry()
    for entry in (first, an_entry()):
        await intake.ingest(entry, ["one"])
    client.rpush("foreign", an_entry().vcon_uuid)
    client.hset("hash", "a", "b")
    accepted_at, _ = key_of(client.hget(keys.about(first.vcon_uuid), "custody:one"))
    ages = await queue_ages(redis, LISTS, accepted_at + timedelta(seconds=40))
    assert ages == {"one": 40.0, "empty": 0.0}
    assert (await queue_ages(redis, ["one"]))["one"] < 40
