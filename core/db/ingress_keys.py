"""Ingress keys in Postgres. A change and its audit event are one transaction.

Times of creation, expiry and revocation are those of Postgres' clock, because the clocks of
replicas may differ.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from core.db.database import Database
from core.db.tables import AuditRecord, IngressKeyRecord
from core.errors import ConflictError, InvalidError, UnknownNameError
from schemas.ingress_key import Author, ConfiguredKey, IngressKey, KnownKey, NewKey

_AS_EVER = ConfiguredKey()
_NO_DETAILS: Mapping[str, ConfiguredKey] = {}
CONFIGURATION = Author(actor="config.yml")
_SYNC_LOCK = 0x70635F6B657973


class IngressKeys:
    """Ingress keys as rows. Every method blocks: call it in a thread.

    Every method raises `UnavailableError` when Postgres cannot be reached or is not migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, secret_sha256: str) -> KnownKey | None:
        """The key with this hash, valid or not; None if there is none."""
        left = func.extract("epoch", _Key.expires_at - func.now())
        with self._database.session() as session:
            found = session.execute(
                select(_Key, left).where(_Key.secret_sha256 == secret_sha256)
            ).one_or_none()
        if found is None:
            return None
        row, seconds = found
        about = {"expires_in": seconds, "signing_secret": row.signing_secret}
        return KnownKey(**_shown(row).model_dump(), **about)

    def all(self, ingress_list: str | None) -> list[IngressKey]:
        """All keys, or those of one list, newest first."""
        statement = select(_Key).order_by(_Key.created_at.desc(), _Key.id)
        if ingress_list is not None:
            statement = statement.where(_Key.ingress_list == ingress_list)
        with self._database.session() as session:
            return [_shown(row) for row in session.scalars(statement)]

    def lists(self) -> set[str]:
        """The lists that have a key which was not revoked."""
        statement = select(_Key.ingress_list).where(_Key.revoked_at.is_(None)).distinct()
        with self._database.session() as session:
            return set(session.scalars(statement))

    def create(self, new: NewKey, secret_sha256: str, author: Author) -> IngressKey:
        """Create a key with a new lineage."""
        with self._database.transaction() as session:
            now = _now(session)
            row = _Key(
                **new.model_dump(exclude={"expires_in_days"}),
                expires_at=_later(now, days=new.expires_in_days),
                **_fresh(secret_sha256, now, lineage=uuid4()),
            )
            session.add(row)
            session.add(_event("CreateIngressKey", author, row))
        return _shown(row)

    def rotate(
        self, key_id: UUID, secret_sha256: str, grace_hours: float, author: Author
    ) -> IngressKey:
        """Create a key that replaces another, which stays valid for at most `grace_hours`.

        Raises:
            UnknownNameError: there is no such key.
            ConflictError: the key was revoked, or has expired.
        """
        with self._database.transaction() as session:
            now = _now(session)
            old = _locked(session, key_id)
            if old.revoked_at or (old.expires_at and old.expires_at <= now):
                raise ConflictError(f"key {key_id} no longer works; make a new one")
            row = _Key(
                ingress_list=old.ingress_list,
                label=old.label,
                requests_per_minute=old.requests_per_minute,
                max_vcon_bytes=old.max_vcon_bytes,
                signing_secret=old.signing_secret,
                expires_at=_as_long_as_the_newest(session, old.lineage, now),
                **_fresh(secret_sha256, now, lineage=old.lineage),
            )
            end = now + timedelta(hours=grace_hours)
            old.expires_at = min(old.expires_at or end, end)
            old.source = "action"  # `sync` no longer changes it
            session.add(row)
            session.add(_event("RotateIngressKey", author, old, new_key=str(row.id)))
        return _shown(row)

    def revoke(self, key_id: UUID, author: Author) -> IngressKey:
        """Revoke a key for good: `sync` does not make it valid again.

        Raises:
            UnknownNameError: there is no such key.
        """
        with self._database.transaction() as session:
            row = _locked(session, key_id)
            row.revoked_at = row.revoked_at or _now(session)
            row.source = "action"
            session.add(_event("RevokeIngressKey", author, row))
        return _shown(row)

    def sync(
        self,
        configured: Mapping[str, Sequence[str]],
        details: Mapping[str, ConfiguredKey] = _NO_DETAILS,
    ) -> None:
        """Make the rows of source `config` match config.yml, given as hashes by list.

        `details` are labels, limits and signing secrets by hash. Keys that are missing in the file
        are revoked, and valid again when they are back. Keys revoked or rotated by an action are
        not changed.
        """
        wanted = {each: name for name, hashes in configured.items() for each in hashes}
        with self._database.transaction() as session:
            session.execute(select(func.pg_advisory_xact_lock(_SYNC_LOCK)))
            known = {row.secret_sha256: row for row in session.scalars(_relevant(wanted))}
            for each, name in wanted.items():
                _take_in(session, known.get(each), each, name, details.get(each, _AS_EVER))
            for each, row in known.items():
                if each not in wanted and row.revoked_at is None:
                    row.revoked_at = _now(session)
                    session.add(_event("RevokeIngressKey", CONFIGURATION, row))


_Key = IngressKeyRecord


def _relevant(wanted: Iterable[str]) -> Any:
    return select(_Key).where(or_(_Key.source == "config", _Key.secret_sha256.in_(list(wanted))))


def _take_in(
    session: Session, row: IngressKeyRecord | None, sha: str, name: str, details: ConfiguredKey
) -> None:
    """Create or update the row of one key of config.yml."""
    if row is None:
        fresh = {**_fresh(sha, _now(session), lineage=uuid4()), "source": "config"}
        row = _Key(ingress_list=name, **details.model_dump(), **fresh)
        session.add(row)
    elif row.source == "config" and details != _details_of(row):
        for field, value in details.model_dump().items():
            setattr(row, field, value)
        row.ingress_list, row.revoked_at = name, None
    elif row.source == "config" and (row.revoked_at or row.ingress_list != name):
        row.ingress_list, row.revoked_at = name, None
    else:
        return
    session.add(_event("CreateIngressKey", CONFIGURATION, row))


def _details_of(row: IngressKeyRecord) -> ConfiguredKey:
    return ConfiguredKey.model_validate(row, from_attributes=True)


def _fresh(secret_sha256: str, now: datetime, *, lineage: UUID) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "secret_sha256": secret_sha256,
        "source": "action",
        "lineage": lineage,
        "created_at": now,
        "use_count": 0,
    }


def _later(now: datetime, *, days: float | None) -> datetime | None:
    try:
        return None if days is None else now + timedelta(days=days)
    except OverflowError:
        raise InvalidError("expires_in_days: too far away") from None


def _as_long_as_the_newest(session: Session, lineage: UUID, now: datetime) -> datetime | None:
    """The expiry of a key made now, with the same validity as the newest key of the lineage.

    The newest has not been rotated, so its expiry is not the end of a grace.
    """
    newest = select(_Key).where(_Key.lineage == lineage).order_by(_Key.created_at.desc()).limit(1)
    row = session.scalars(newest).one()
    return row.expires_at and now + (row.expires_at - row.created_at)


def _now(session: Session) -> datetime:
    return session.execute(select(func.now())).scalar_one()


def _locked(session: Session, key_id: UUID) -> IngressKeyRecord:
    row = session.scalar(select(_Key).where(_Key.id == key_id).with_for_update())
    if row is None:
        raise UnknownNameError("ingress key", str(key_id))
    return row


def _shown(row: IngressKeyRecord) -> IngressKey:
    return IngressKey.model_validate(row, from_attributes=True)


def _event(action: str, author: Author, row: IngressKeyRecord, **detail: Any) -> AuditRecord:
    return AuditRecord(
        at=datetime.now(UTC),
        action=action,
        ref=author.ref,
        actor=author.actor,
        target=f"ingress_key:{row.id}",
        detail={"ingress_list": row.ingress_list, "label": row.label, **detail},
    )


def count_uses(session: Session, uses: Mapping[UUID, tuple[int, datetime]]) -> None:
    """Add to the use counts of keys, and set their last use to the later time."""
    for key_id, (count, last) in sorted(uses.items()):
        session.execute(
            update(_Key)
            .where(_Key.id == key_id)
            .values(
                use_count=_Key.use_count + count,
                last_used_at=func.greatest(_Key.last_used_at, last),
            )
        )
