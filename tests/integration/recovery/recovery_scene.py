"""Custody in a real Postgres, one or more real Redis, and replicas that watch over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import Redis

from core.custody_settings import CustodySettings
from core.db.database import Database
from core.db.identity import Identity
from core.db.usage_and_audit import PartnerRecords
from pipeline.recovery.watch import IdentityWatch, build_watch
from pipeline.redis_client.client import RedisConnection
from tests.integration.custody.approval import server_of
from tests.integration.db.ingress_rows import execute

CUSTODY = CustodySettings(custody="postgres")


@dataclass
class RecoveryScene:
    """One Redis and Postgres, with replicas by name."""

    connection: RedisConnection
    client: Redis
    database: Database

    def __post_init__(self) -> None:
        self.records = PartnerRecords(self.database)

    def watch(self, replica: str = "one", connection: RedisConnection | None = None) -> Any:
        """The watch of a replica."""
        built = build_watch(CUSTODY, self.records, connection or self.connection, replica)
        assert isinstance(built, IdentityWatch)
        return built

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
