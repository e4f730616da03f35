"""Writes the services and tokens that the Plugboard reports to Postgres, in a thread.

The event loop only puts a row into a dictionary; the thread writes. A row leaves the dictionary
when it is in Postgres, so while Postgres is unavailable the newest state of each id is in memory.

Two reports on one id are merged into one row, in Python for waiting rows and in SQL for written
ones, with the same rules, which do not depend on the order of the reports: the name is that of the
later `updated_at`, a token's hash stays once it is known, and a deletion stays.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from typing import Any

from sqlalchemy import case, func
from sqlalchemy.dialects.postgresql import Insert, insert

from core.concurrency.backoff import Backoff
from core.db.database import Database
from core.db.tables import ServiceRecord, TokenRecord
from core.errors import ConflictError, InvalidError, PatchcordError
from schemas.service import Service
from schemas.token import Token

type Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One table of rows that have an `id`."""

    name: str
    merge: Callable[[Row, Row], Row]
    upsert: Insert


def service_row(service: Service, deleted_at: datetime | None = None) -> Row:
    """A row of `services`."""
    return service.model_dump() | {"deleted_at": deleted_at}


def token_row(token: Token, deleted_at: datetime | None = None) -> Row:
    """A row of `tokens`, with the SHA-256 of the value in hex, or None without a value."""
    value = token.value and token.value.get_secret_value()
    return token.model_dump(exclude={"value"}) | {
        "value_sha256": sha256(value.encode()).hexdigest() if value else None,
        "deleted_at": deleted_at,
    }


def _merged_services(old: Row, new: Row) -> Row:
    latest = new if new["updated_at"] >= old["updated_at"] else old
    return latest | {"deleted_at": _earlier_deletion(old, new)}


def _merged_tokens(old: Row, new: Row) -> Row:
    return new | {
        "value_sha256": new["value_sha256"] or old["value_sha256"],
        "deleted_at": _earlier_deletion(old, new),
    }


def _earlier_deletion(*rows: Row) -> datetime | None:
    return min((row["deleted_at"] for row in rows if row["deleted_at"]), default=None)


def _services_upsert() -> Insert:
    statement = insert(ServiceRecord)
    said, kept = statement.excluded, ServiceRecord
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "name": case((said.updated_at >= kept.updated_at, said.name), else_=kept.name),
            "updated_at": func.greatest(said.updated_at, kept.updated_at),
            "deleted_at": func.least(said.deleted_at, kept.deleted_at),
        },
    )


def _tokens_upsert() -> Insert:
    statement = insert(TokenRecord)
    said, kept = statement.excluded, TokenRecord
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "context": said.context,
            "expires_at": said.expires_at,
            "value_sha256": func.coalesce(said.value_sha256, kept.value_sha256),
            "deleted_at": func.least(said.deleted_at, kept.deleted_at),
        },
    )


SERVICES = Kind("service", _merged_services, _services_upsert())
TOKENS = Kind("token", _merged_tokens, _tokens_upsert())


type _Waiting = tuple[tuple[Kind, int], Row]

_BACKOFF = Backoff(first=0.5, cap=30.0, jitter=random.random)

log = logging.getLogger(__name__)


class Records:
    """Services and tokens as rows. Its methods may be called from any thread and never block."""

    def __init__(
        self,
        database: Database,
        *,
        limit: int = 10_000,
        batch: int = 500,
        backoff: Backoff = _BACKOFF,
    ) -> None:
        self._database = database
        self._limit = limit
        self._batch = batch
        self._backoff = backoff
        self._waiting: dict[tuple[Kind, int], Row] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._given_up = False
        self._failures = 0
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_all, name="records", daemon=True)

    def start(self) -> None:
        """Start the thread; it also writes rows that were reported before."""
        self._thread.start()

    def close(self, timeout: float = 5.0) -> int:
        """Write the waiting rows and stop, within `timeout` s; the number of rows not written."""
        self._notify(closing=True)
        if self._thread.ident is None and self._waiting:
            self.start()  # the service stopped before it had checked the tables, which may exist
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._notify(given_up=True)
        if self._waiting:
            log.error("registrations lost", extra={"count": len(self._waiting)})
        return len(self._waiting)

    def service_seen(self, service: Service) -> None:
        """Record the service as it is now."""
        self._put(SERVICES, service_row(service))

    def service_deleted(self, service: Service) -> None:
        """Record the deletion of the service at the present time."""
        self._put(SERVICES, service_row(service, deleted_at=datetime.now(UTC)))

    def token_seen(self, token: Token) -> None:
        """Record the token; its value, if present, is kept only as a hash."""
        self._put(TOKENS, token_row(token))

    def token_deleted(self, token: Token) -> None:
        """Record the deletion of the token at the present time."""
        self._put(TOKENS, token_row(token, deleted_at=datetime.now(UTC)))

    def _put(self, kind: Kind, row: Row) -> None:
        key = (kind, row["id"])
        with self._changed:
            old = self._waiting.get(key)
            self._waiting[key] = row if old is None else kind.merge(old, row)
            if len(self._waiting) > self._limit:
                self._drop_oldest()
            self._changed.notify()

    def _drop_oldest(self) -> None:
        del self._waiting[next(iter(self._waiting))]
        if not self._dropped:
            log.error("registrations dropped", extra={"count": self._limit})
        self._dropped += 1

    def _notify(self, *, closing: bool = False, given_up: bool = False) -> None:
        with self._changed:
            self._closing = self._closing or closing
            self._given_up = self._given_up or given_up
            self._changed.notify_all()

    # In the writing thread

    def _write_all(self) -> None:
        while batch := self._next_batch():
            try:
                self._write(batch)
            except PatchcordError as error:
                self._pause(error)
            else:
                self._resumed()

    def _next_batch(self) -> list[_Waiting]:
        """The rows that have waited the longest; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return [] if self._given_up else list(islice(self._waiting.items(), self._batch))

    def _write(self, batch: Sequence[_Waiting]) -> None:
        try:
            self._upsert(batch)
        except (InvalidError, ConflictError) as error:
            self._write_singly(batch, error)
        else:
            self._forget(batch)

    def _write_singly(self, batch: Sequence[_Waiting], error: PatchcordError) -> None:
        """Write each row alone, so that one that Postgres refuses does not block the others."""
        if len(batch) > 1:
            for waiting in batch:
                self._write([waiting])
            return
        ((kind, key), _), *_ = batch
        text = f"{kind.name} {key}: {error}"
        log.error("registration refused", extra={"error": text})
        self._forget(batch)

    def _upsert(self, batch: Sequence[_Waiting]) -> None:
        # In the order of the ids: two replicas that write the same rows must not deadlock.
        with self._database.transaction() as session:
            for kind in (SERVICES, TOKENS):
                rows = sorted((row for (k, _), row in batch if k is kind), key=_id)
                if rows:
                    session.execute(kind.upsert, rows)

    def _forget(self, batch: Sequence[_Waiting]) -> None:
        """Remove the written rows, except those that have changed since."""
        with self._changed:
            for key, row in batch:
                if self._waiting.get(key) is row:
                    del self._waiting[key]

    def _pause(self, error: PatchcordError) -> None:
        if not self._failures:
            log.warning("registrations postponed", extra={"error": str(error)})
        with self._changed:
            closing = self._closing
            wait = self._backoff.wait(0 if closing else self._failures)
            self._failures += 1
            self._changed.wait_for(lambda: self._given_up or self._closing is not closing, wait)

    def _resumed(self) -> None:
        if self._failures:
            log.warning("registrations resumed", extra={"count": self._dropped})
        with self._changed:
            self._failures = self._dropped = 0


def _id(row: Row) -> int:
    key: int = row["id"]
    return key
