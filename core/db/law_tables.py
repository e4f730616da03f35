"""The tables of the conversations' law. They hold no personal data.

A document is told by a commitment: SHA-256 of the vCon's salt in `law_salts` and the document's
SHA-256. Once the salt is forgotten, no commitment can be compared with a document. A party is told
by the keyed hash of a number or address (`pipeline/stored/term_keys.py`).

The guards that refuse changes of rows are triggers of the migration `0012_law`.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.db.tables import Base

_NOW = text("now()")
_EMPTY = text("''")


class VersionRecord(Base):
    """A document that the service had: as received, or as a run or an egress has made it.

    `origin`: `received`, `enhanced`, `redacted` or `amended`; `form`: `unsigned`, `signed` or
    `encrypted`; `prior`: the uuid of the vCon that an amended one was made of; `signers`: SHA-256
    of the certificates whose signatures were verified.
    """

    __tablename__ = "law_versions"
    __table_args__ = (
        Index("ix_law_versions_run_id", "run_id"),
        Index("ix_law_versions_prior", "prior", postgresql_where=text("prior IS NOT NULL")),
        Index("uq_law_versions", "vcon_uuid", "commitment", unique=True),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    vcon_uuid: Mapped[UUID]
    prior: Mapped[UUID | None]
    origin: Mapped[str]
    form: Mapped[str]
    chain: Mapped[str | None]
    run_id: Mapped[UUID | None]
    bytes: Mapped[int] = mapped_column(BigInteger)
    signers: Mapped[list[str]] = mapped_column(ARRAY(Text()), server_default=text("'{}'"))
    commitment: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class DeliveryRecord(Base):
    """A call that gives a vCon away, written before it; `outcome` follows, once.

    `kind`: `link`, `storage`, `tracer`, `egress` or `read`; `name`: the step, the egress list or
    the reader. `basis`: what allowed it, as the place in the vCon or `recorded:{id}`; null if
    nothing was asked. `outcome`: `ok`, `failed`, or `unknown` where the process ended before it
    was told; null while the run goes on. `error` is a type without its text.
    """

    __tablename__ = "law_deliveries"
    __table_args__ = (
        Index("ix_law_deliveries_vcon_uuid", "vcon_uuid"),
        Index("ix_law_deliveries_run_id", "run_id"),
        Index("ix_law_deliveries_open", "begun_at", postgresql_where=text("outcome IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    vcon_uuid: Mapped[UUID]
    kind: Mapped[str]
    name: Mapped[str]
    chain: Mapped[str | None]
    run_id: Mapped[UUID | None]
    attempt: Mapped[int]
    worker: Mapped[str | None]
    purpose: Mapped[str | None]
    profile: Mapped[str | None]
    basis: Mapped[str | None]
    commitment: Mapped[str]
    begun_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    error: Mapped[str | None]


class EventRecord(Base):
    """A lifecycle event. A trigger gives it the next number and its place in the hash chain.

    `about` names a row, such as `delivery:17`, and `digest` is the SHA-256 of that row then.
    `hash` is the SHA-256 of the lines `prior`, `seq`, `at` (UTC, microseconds), `event`,
    `vcon_uuid`, `about`, `digest` and `commitment`. The transaction holds a lock from the insert to
    its end: events are the last that it writes.
    """

    __tablename__ = "law_events"
    __table_args__ = (
        Index("ix_law_events_vcon_uuid", "vcon_uuid"),
        Index("ix_law_events_about", "about"),
    )

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    event: Mapped[str]
    vcon_uuid: Mapped[UUID | None]
    about: Mapped[str] = mapped_column(server_default=_EMPTY)
    digest: Mapped[str] = mapped_column(server_default=_EMPTY)
    commitment: Mapped[str] = mapped_column(server_default=_EMPTY)
    prior: Mapped[str]
    hash: Mapped[str]


class CheckpointRecord(Base):
    """The head of the chain of events at some moment; `statement`: signed by a key of the law."""

    __tablename__ = "law_checkpoints"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=_NOW)
    key: Mapped[str | None]
    statement: Mapped[str | None]


class BasisRecord(Base):
    """A basis recorded outside of vCons, for a vCon or for a party in all of them.

    Rows are added only; a revocation is a row that does not grant. `party` of a grant becomes null
    when the party is erased, and so does the `salt` of what its event says of the party.
    """

    __tablename__ = "law_bases"
    __table_args__ = (
        Index("ix_law_bases_vcon_uuid", "vcon_uuid"),
        Index("ix_law_bases_party", "party"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    vcon_uuid: Mapped[UUID | None]
    party: Mapped[str | None]
    salt: Mapped[str | None]
    purpose: Mapped[str]
    granted: Mapped[bool]
    basis: Mapped[str]
    granted_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    recorded_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    actor: Mapped[str]
    ref: Mapped[str | None]


class SaltRecord(Base):
    """The salt of the commitments about a vCon; null once it is forgotten, and then for good."""

    __tablename__ = "law_salts"

    vcon_uuid: Mapped[UUID] = mapped_column(primary_key=True)
    salt: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    forgotten_at: Mapped[datetime | None]


class ErasureRecord(Base):
    """A request to erase a vCon or a party's vCons, and how far it is.

    `subject`: `vcon` or `party`. `state`: `requested`, `held`, `running`, `waiting`, `manual`,
    `complete` or `complete_with_exceptions`. `hold`: why it must not be carried out now.
    `suppress`: what comes in later about the party is refused, for which `party` is kept.
    `progress`: which of its phases have ended.
    """

    __tablename__ = "law_erasures"
    __table_args__ = (
        Index("ix_law_erasures_vcons", "vcons", postgresql_using="gin"),
        Index("ix_law_erasures_party", "party"),
        Index(
            "ix_law_erasures_under_way",
            "due_at",
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_law_erasures_requested_at", "requested_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str]
    vcons: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default=text("'{}'"))
    party: Mapped[str | None]
    state: Mapped[str]
    hold: Mapped[str | None]
    suppress: Mapped[bool] = mapped_column(server_default=text("false"))
    progress: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    requested_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    due_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    actor: Mapped[str]
    ref: Mapped[str | None]
    statement: Mapped[str | None]


class TargetRecord(Base):
    """A destination of an erasure for one of its vCons.

    `state`: `pending`, `deleted`, `verified`, `told`, `acknowledged`, `cannot` or `unreachable`;
    `error` is a type without its text.
    """

    __tablename__ = "law_erasure_targets"

    erasure: Mapped[UUID] = mapped_column(primary_key=True)
    vcon_uuid: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    due_at: Mapped[datetime | None]
    tried_at: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    error: Mapped[str | None]
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))


class TombstoneRecord(Base):
    """A vCon that is erased, or is being erased: no way lets it in again.

    `number`: in the order of the commits, by which Redis is told of them.
    """

    __tablename__ = "law_tombstones"
    __table_args__ = (Index("uq_law_tombstones_number", "number", unique=True),)

    vcon_uuid: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    erasure: Mapped[UUID]
    at: Mapped[datetime] = mapped_column(server_default=_NOW)
