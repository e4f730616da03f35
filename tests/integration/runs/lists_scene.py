"""Lists in Redis and the queue scripts, for tests of claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from redis import Redis

from pipeline.ingest.intake import Intake
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.queues import Claim, Claims, Queues, Record, Settlement
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid
from tests.integration.support.recording_queues import VCON_EXPIRY

JOURNAL = orjson.dumps({"status": "running"})


def journal_of(claim: Claim) -> bytes:
    """What cancelling reads of a run's journal."""
    names = {"chain": "main", "vcon_in": claim.vcon_uuid, "ingress_list": claim.list_name}
    return orjson.dumps({**names, "status": "queued", "finished_at": None})


class Lists:
    """Queues with workers that are only names, and shorthands for what tests do with them."""

    def __init__(self, redis: RedisConnection, client: Redis) -> None:
        self.redis, self.client = redis, client
        self.queues = Queues(redis, run_expiry=600, vcon_expiry=VCON_EXPIRY)
        self.intake = Intake(redis, sorted_set="vcons", max_depth=1000)
        self.revive("one")

    def revive(self, worker: str) -> None:
        """The worker has a lease."""
        self.client.sadd(keys.WORKERS, worker)
        self.client.set(keys.worker(worker), 1)

    async def die(self, worker: str = "one") -> None:
        """The worker's lease has expired."""
        await self.queues.bury(worker)

    def push(self, name: str, count: int = 1) -> list[str]:
        """New vCons in a list, as an adapter puts them there; their uuids."""
        uuids = [new_uuid() for _ in range(count)]
        for vcon_uuid in uuids:
            self.client.json().set(keys.vcon(vcon_uuid), ".", a_vcon(vcon_uuid))
        self.client.rpush(name, *uuids)
        return uuids

    async def claims(
        self,
        *names: str,
        want: int = 10,
        worker: str = "one",
        suspects: bool = False,
    ) -> Claims:
        """What a worker gets."""
        names = names or ("in",)
        return await self.queues.claim(worker, want, names, suspects=suspects)

    async def claim(self, *names: str, worker: str = "one", **more: Any) -> Claim:
        """The one vCon that a worker gets."""
        [claim] = (await self.claims(*names, worker=worker, **more)).claims
        return claim

    async def suspect(self, worker: str = "one") -> Claim:
        """The next suspect, whether it has been moved aside or not."""
        return await self.claim(want=1, suspects=True, worker=worker)

    async def suspects(self, count: int) -> list[str]:
        """So many new vCons of `in` whose worker has died, moved aside; their uuids."""
        fed = self.push("in", count)
        await self.claims(want=count)
        await self.die()
        self.revive("one")
        assert not (await self.claims()).claims
        return fed

    async def finish(self, claim: Claim, worker: str = "one", **changes: Any) -> bool:
        """End the run of a claim."""
        record = changes.pop("record", Record(JOURNAL, claim.vcon_uuid))
        return await self.queues.finish(worker, claim, Settlement(record=record, **changes))

    async def fail(self, claim: Claim, delay: float = 0.0, worker: str = "one") -> bool:
        """The attempt has failed and is due again after so many seconds."""
        record = Record(JOURNAL, claim.vcon_uuid)
        return await self.queues.retry_later(worker, claim, record, delay)

    async def give_back(self, claim: Claim, worker: str = "one") -> bool:
        """Back to where it came from."""
        return await self.queues.give_back(worker, claim, Record(JOURNAL, claim.vcon_uuid))

    def elements(self, name: str) -> list[str]:
        """What is in a list."""
        found: list[str] = self.client.lrange(name, 0, -1)
        return found

    def held(self, worker: str = "one") -> set[str]:
        """What a worker holds."""
        return set(self.client.hkeys(keys.inflight(worker)))

    def ttl(self, vcon_uuid: str) -> int:
        """How long a document stays; -1 for ever."""
        return int(self.client.ttl(keys.vcon(vcon_uuid)))


@pytest.fixture
def lists(redis: RedisConnection, client: Redis) -> Lists:
    """An empty Redis and one worker with a lease."""
    return Lists(redis, client)


def uuids(claims: Sequence[Claim]) -> list[str]:
    """The vCons of some claims."""
    return [claim.vcon_uuid for claim in claims]
