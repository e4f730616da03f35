"""Custody in a real Postgres, one or more real Redis, and replicas that watch over them."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import orjson
from redis import Redis

from core.concurrency.thread_pool import BoundedCalls
from core.db.custody import Custody, NewCustody, key_of
from core.db.database import Database
from core.db.identity import Identity
from core.db.usage_and_audit import PartnerRecords
from pipeline.custody.keeper import PostgresKeeper
from pipeline.erasure.tombstones import Tombstones
from pipeline.ingest.entry import Entry, entry_of
from pipeline.ingest.idempotency import NO_KEY, Registration
from pipeline.ingest.intake import Intake
from pipeline.recovery.factory import build_watch
from pipeline.recovery.watch import IdentityWatch
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from tests.integration.custody.approval import server_of
from tests.integration.db.ingress_rows import execute
from tests.integration.support.pipeline_fixtures import a_vcon, both, configured

CONFIGURATION = both(
    configured(ingress=("in",), egress=("out",)), configured(name="other", ingress=("two",))
)
RELEASE = """
UPDATE custody SET open = array_remove(open, '{0}'), outcome = '{1}', token = {2},
    released_at = CASE WHEN array_remove(open, '{0}') = '{{}}' THEN now() END,
    document = CASE WHEN array_remove(open, '{0}') = '{{}}' THEN NULL ELSE document END
WHERE number = {3}
"""
SETTINGS: Any = SimpleNamespace(
    custody="postgres", vcon_sorted_set_name="vcons", vcon_redis_expiry=3600, run_expiry=60
)


async def _left(_vcon_uuid: str) -> bool:
    return False


@dataclass
class RecoveryScene:
    """One Redis and Postgres, with replicas by name."""

    connection: RedisConnection
    client: Redis
    database: Database
    calls: BoundedCalls

    def __post_init__(self) -> None:
        self.records = PartnerRecords(self.database)
        self.custody = Custody(self.database)
        self.keeper = keeper = PostgresKeeper(self.custody, self.calls)
        self.intake = Intake(self.connection, sorted_set="vcons", max_depth=1000, keeper=keeper)

    def watch(self, replica: str = "one", connection: RedisConnection | None = None) -> Any:
        """The watch of a replica."""
        connection = connection or self.connection
        lay = Tombstones(connection, self.records.erasures, self.calls, _left).recover
        parts = SETTINGS, self.records, connection, CONFIGURATION
        built = build_watch(*parts, replica, self.write_history, lay)
        assert isinstance(built, IdentityWatch)
        return built

    async def write_history(self) -> None:
        """Note the ends that wait in Redis: uuid and list of each."""
        for words in self.client.lrange(keys.HISTORY, 0, -1):
            vcon_uuid, place = words.split(" ")
            released = f"open = array_remove(open, '{place}'), released_at = now()"
            execute(
                self.database,
                f"UPDATE custody SET {released}, outcome = 'done' WHERE vcon_uuid = '{vcon_uuid}'",
            )
        self.client.delete(keys.HISTORY)

    async def recover(self) -> None:
        """Let a replica look, and recover what has to be."""
        await self.watch().finish()

    def row(self) -> Identity:
        """What Postgres knows of Redis."""
        found = self.records.identities.read()
        assert found is not None
        return found

    def is_open(self, client: Redis | None = None) -> bool:
        """Whether workers claim: `claim.lua` compares the same two."""
        client = client or self.client
        return bool(client.hget("pc:epoch", "server") == server_of(client))

    def some_time_later(self) -> None:
        """No replica has seen Redis for a while."""
        statement = "UPDATE redis_identity SET seen_at = seen_at - interval '6 s'"
        execute(self.database, statement)

    async def accept(
        self, lists: list[str], request: Registration = NO_KEY, **changes: Any
    ) -> Entry:
        """A vCon that was accepted."""
        entry = entry_of(a_vcon() | changes, 10_000_000)
        await self.intake.ingest(entry, lists, request=request)
        return entry

    def commit(self, place: str, **changes: Any) -> str:
        """A row without anything in Redis; its ref."""
        entry = entry_of(a_vcon(), 10_000_000)
        row: dict[str, Any] = {"vcon_uuid": entry.vcon_uuid, "document": entry.document}
        [ref] = self.custody.accept([NewCustody(lists=[place], **row | changes)])
        return ref

    def refs(self, vcon_uuid: str, place: str) -> list[str]:
        """The rows that Redis names for a place."""
        found = self.client.hget(keys.about(vcon_uuid), f"custody:{place}")
        return found.split() if found else []

    def release(self, entry: Entry, place: str, outcome: str = "done", token: int = 1) -> None:
        """The run of a place has ended, in Postgres."""
        for ref in self.refs(entry.vcon_uuid, place):
            _, number = key_of(ref)
            self.release_row(number, place, outcome, token)

    def release_row(self, number: int, place: str, outcome: str = "done", token: int = 1) -> None:
        """The same for a row that Redis need not know."""
        execute(self.database, RELEASE.format(place, outcome, token, number))

    def elements(self, name: str) -> list[str]:
        """What is in a list."""
        found: list[str] = self.client.lrange(name, 0, -1)
        return found

    def document(self, vcon_uuid: str) -> Any:
        """A vCon in Redis."""
        text = self.client.execute_command("JSON.GET", keys.vcon(vcon_uuid))
        return orjson.loads(text) if text else None

    def journal(self, name: str, element: str) -> dict[str, Any]:
        """The run that an element belongs to."""
        _, run, _ = self.client.hget(keys.attempts(name), element).split("\n")
        found: dict[str, Any] = orjson.loads(self.client.get(keys.run(run)))
        return found
