"""The tables in Postgres. A change here needs an Alembic revision with upgrade and downgrade.

There are no foreign keys: reports of the Plugboard and of workers arrive in any order and sometimes
late, and no row may depend on the presence of another.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    Double,
    Index,
    MetaData,
    Sequence,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_CONSTRAINT_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Parent of every table class: times carry a zone, texts any length, constraints a name."""

    metadata = MetaData(naming_convention=_CONSTRAINT_NAMES)
    type_annotation_map = {  # noqa: RUF012 -- SQLAlchemy requires this name and form
        datetime: DateTime(timezone=True),
        str: Text(),
        float: Double(),
    }


class ServiceRecord(Base):
    """A service as the Plugboard last described it."""

    __tablename__ = "services"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str]
    inserted_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class TokenRecord(Base):
    """A token of a service, with the SHA-256 of its value in hex if the value is known."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    service_id: Mapped[int] = mapped_column(BigInteger, index=True)
    context: Mapped[str]
    value_sha256: Mapped[str | None]
    inserted_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class RunRecord(Base):
    """One run of a chain. A step is identified by (run_id, its index in `steps`).

    `recorded_on` is `core.run_ids.day_of` of the id. The partitions are those of
    `core/db/partitions.py`.
    """

    __tablename__ = "chain_runs"
    __table_args__ = (
        Index("ix_chain_runs_chain_finished_at", "chain", "finished_at"),
        Index("ix_chain_runs_vcon_in", "vcon_in"),
        Index("ix_chain_runs_vcon_out", "vcon_out"),
        Index(
            "ix_chain_runs_unsettled",
            "status",
            "finished_at",
            postgresql_where=text("status <> 'done'"),
        ),
        Index(
            "ix_chain_runs_unsettled_of_chain",
            "chain",
            "status",
            "finished_at",
            postgresql_where=text("status <> 'done'"),
        ),
        Index("ix_chain_runs_finished_at", "finished_at"),
        {"postgresql_partition_by": "RANGE (recorded_on)"},
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    chain: Mapped[str]
    config_hash: Mapped[str]
    vcon_in: Mapped[UUID]
    vcon_out: Mapped[UUID]
    ingress_list: Mapped[str | None]
    status: Mapped[str]
    attempts: Mapped[int]
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    error: Mapped[str | None]
    worker: Mapped[str | None]
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    recorded_on: Mapped[date] = mapped_column(
        primary_key=True, server_default=text("'1970-01-01'::date")
    )
    token: Mapped[int | None] = mapped_column(BigInteger)
    recovered: Mapped[bool] = mapped_column(server_default=text("false"))


class IngressKeyRecord(Base):
    """A key for one ingress list, with the SHA-256 of the secret in hex.

    The secret that signs requests is stored as it is: a signature cannot be checked with its hash.

    Keys of one `lineage` replace each other by rotation and are one owner of vCons.
    """

    __tablename__ = "ingress_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    ingress_list: Mapped[str] = mapped_column(index=True)
    label: Mapped[str]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    lineage: Mapped[UUID]
    requests_per_minute: Mapped[int | None]
    max_vcon_bytes: Mapped[int | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    use_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    signing_secret: Mapped[str | None]


class OwnerRecord(Base):
    """The key lineage that created a vCon; the nil uuid for the service's own vCons.

    A row that is not confirmed is a claim that Redis has not decided yet.
    """

    __tablename__ = "vcon_owners"

    vcon_uuid: Mapped[UUID] = mapped_column(primary_key=True)
    lineage: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(index=True)
    confirmed: Mapped[bool] = mapped_column(server_default=text("true"))


class IndexRecord(Base):
    """A vCon that went through chains: by whom it is found, and which storages have it.

    `terms` are hashes of normalised numbers, addresses and names, or clear (`tel:+1...`). A row
    with `erased_at` says that the vCon was erased then; it has no terms.
    """

    __tablename__ = "vcon_index"
    __table_args__ = (
        Index("ix_vcon_index_terms", "terms", postgresql_using="gin"),
        Index("ix_vcon_index_created_at", "created_at", "vcon_uuid"),
        Index(
            "ix_vcon_index_in_no_storage",
            "updated_at",
            postgresql_where=text("storages = '{}'"),
        ),
    )

    vcon_uuid: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    terms: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    chains: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    storages: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    updated_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]


class CauseRecord(Base):
    """What failed runs of one kind have in common; the example is the last vCon that failed so."""

    __tablename__ = "failure_causes"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[str]
    type: Mapped[str]
    message: Mapped[str]
    config_hash: Mapped[str]
    chain: Mapped[str]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    count: Mapped[int] = mapped_column(BigInteger)
    example: Mapped[UUID | None]
    error: Mapped[str | None]


class SecretRecord(Base):
    """A secret that the service made for itself, such as that of the hashes in `vcon_index`."""

    __tablename__ = "service_secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    created_at: Mapped[datetime]


class UsageRecord(Base):
    """Requests with one key on one day (UTC); `refused` counts by reason."""

    __tablename__ = "ingress_usage"
    __table_args__ = (Index("ix_ingress_usage_day", "day"),)

    key_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    accepted: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[dict[str, int]] = mapped_column(JSONB)
    bytes: Mapped[int] = mapped_column(BigInteger)


class AuditRecord(Base):
    """An audit event. Triggers refuse updates, and deletions other than pruning."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    action: Mapped[str]
    ref: Mapped[str | None]
    actor: Mapped[str]
    target: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB)


class CustodyRecord(Base):
    """A request that brought a vCon in, or the end of a run that goes on in other lists.

    `lists` are the places it was accepted for: ingress lists, `run:{chain}`, dead-letter lists,
    egress lists; `open` those that still need the vCon. `state` is the run to continue from, for a
    dead letter its reason. `document` goes with the last of `open`.
    """

    __tablename__ = "custody"
    __table_args__ = (
        Index("ix_custody_vcon_uuid", "vcon_uuid"),
        Index(
            "ix_custody_open", "accepted_at", "number", postgresql_where=text("released_at IS NULL")
        ),
        {"postgresql_partition_by": "RANGE (accepted_at)"},
    )

    accepted_at: Mapped[datetime] = mapped_column(primary_key=True, server_default=text("now()"))
    number: Mapped[int] = mapped_column(
        BigInteger,
        Sequence("custody_number"),
        primary_key=True,
        server_default=text("nextval('custody_number')"),
    )
    vcon_uuid: Mapped[UUID]
    lists: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    open: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    run_id: Mapped[UUID | None]
    digest: Mapped[str]
    created_at: Mapped[float]
    terms: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    received: Mapped[str]
    owner: Mapped[str | None]
    keys: Mapped[dict[str, str] | None] = mapped_column(JSONB)
    state: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    document: Mapped[bytes | None]
    released_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    token: Mapped[int | None] = mapped_column(BigInteger)


class IdentityRecord(Base):
    """The Redis that was last seen, as one row, and a recovery that is under way."""

    __tablename__ = "redis_identity"

    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    name: Mapped[str]
    server: Mapped[str]
    generation: Mapped[int] = mapped_column(BigInteger)
    counter: Mapped[int] = mapped_column(BigInteger)
    seen_at: Mapped[datetime]
    seen_by: Mapped[str]
    recovery: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    kept: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
