"""Ingress keys, usage and audit as rows of a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from core.db import ingress_keys
from core.db.database import Database
from core.db.ingress_keys import IngressKeys
from core.db.usage_and_audit import UsageAndAudit, Used
from core.errors import ConflictError, UnknownNameError
from pipeline.ingest.key_cache import hashed
from tests.integration.db.ingress_rows import ADMIN, execute, found, made


def test_a_key_is_found_by_its_hash(keys: IngressKeys):
    """With everything it was given, and only by its own."""
    key = made(keys, days=2)
    assert found(keys, "s") == key
    assert key.expires_at == key.created_at + timedelta(days=2)
    assert (keys.find(hashed("t")), keys.all("in"), keys.all("other")) == (None, [key], [])


def test_a_rotated_key_works_on_for_a_while(keys: IngressKeys):
    """The new one has the same lineage, list and limits; the old one ends with the grace."""
    old = made(keys, "old")
    new = keys.rotate(old.id, hashed("new"), 2, ADMIN)
    assert (new.lineage, new.requests_per_minute) == (old.lineage, 9)
    assert found(keys, "old").expires_at == new.created_at + timedelta(hours=2)
    assert new.expires_at is None


@pytest.mark.parametrize("hours", [-30, 30])
def test_the_ends_of_keys_are_by_postgres_clock(
    keys: IngressKeys, monkeypatch: pytest.MonkeyPatch, hours: int
):
    """Also where the clock of the replica that makes or rotates them is a day off."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(hours=hours)

    monkeypatch.setattr(ingress_keys, "datetime", Wrong)
    made(keys, "made", days=1)
    old = made(keys, "old")
    keys.rotate(old.id, hashed("new"), 2, ADMIN)
    made_for, rotated = keys.find(hashed("made")), keys.find(hashed("old"))
    assert made_for
    assert rotated
    assert made_for.expires_in == pytest.approx(86400, abs=100)
    assert rotated.expires_in == pytest.approx(7200, abs=100)


@pytest.mark.parametrize("days", [None, 10])
def test_a_key_rotated_again_has_the_life_it_was_made_for(keys: IngressKeys, days: float | None):
    """Whichever key of the lineage is rotated, the end of a grace is not taken for its own."""
    old = made(keys, "old", days)
    first = keys.rotate(old.id, hashed("lost"), 2, ADMIN)
    again = keys.rotate(old.id, hashed("new"), 2, ADMIN)
    last = keys.rotate(first.id, hashed("newest"), 0, ADMIN)
    for key in (first, again, last):
        life = key.expires_at and key.expires_at - key.created_at
        assert life == (days and timedelta(days=days))


def test_what_no_longer_works_is_not_rotated(keys: IngressKeys):
    """A revoked key would otherwise come back to life."""
    key = made(keys)
    assert keys.revoke(key.id, ADMIN).revoked_at is not None
    with pytest.raises(ConflictError, match="no longer works"):
        keys.rotate(key.id, hashed("new"), 2, ADMIN)
    with pytest.raises(UnknownNameError):
        keys.revoke(uuid4(), ADMIN)


def test_keys_of_the_file_come_and_go_with_it(keys: IngressKeys):
    """They are added once, revoked when they are gone, and work again when they are back."""
    a, b = hashed("a"), hashed("b")
    keys.sync({"in": [a, b]})
    before = keys.all(None)
    keys.sync({"in": [a, b]})
    assert keys.all(None) == before
    keys.sync({"in": [a]})
    assert (found(keys, "a").revoked_at, found(keys, "b").revoked_at is None) == (None, False)
    keys.sync({"other": [b]})
    assert (found(keys, "b").revoked_at, found(keys, "b").ingress_list) == (None, "other")
    assert {key.source for key in keys.all(None)} == {"config"}


def test_the_file_leaves_other_keys_alone(keys: IngressKeys):
    """Keys made by an action stay, and one that an action revoked stays revoked."""
    made(keys, "mine")
    keys.sync({"in": [hashed("a")]})
    keys.revoke(found(keys, "a").id, ADMIN)
    keys.sync({"in": [hashed("a")]})
    assert found(keys, "a").revoked_at is not None
    assert found(keys, "mine").revoked_at is None


def test_every_change_of_a_key_is_audited(keys: IngressKeys, ledger: UsageAndAudit):
    """Who, what, with which request, and to which key; never the hash."""
    key = made(keys)
    new = keys.rotate(key.id, hashed("new"), 1, ADMIN)
    keys.revoke(new.id, ADMIN)
    keys.sync({"in": [hashed("a")]})
    keys.sync({})
    events = ledger.events(None, None, 100)
    assert [(each.actor, each.action) for each in events] == [
        ("config.yml", "RevokeIngressKey"),
        ("config.yml", "CreateIngressKey"),
        ("service:7", "RevokeIngressKey"),
        ("service:7", "RotateIngressKey"),
        ("service:7", "CreateIngressKey"),
    ]
    assert (events[-1].ref, events[-1].target) == ("ref-1", f"ingress_key:{key.id}")
    assert ledger.events(None, events[-2].id, 100) == events[-1:]
    assert hashed("new") not in str(events)


@pytest.mark.parametrize(
    "deed",
    [
        "UPDATE audit_events SET actor = 'x'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "SET LOCAL patchcord.pruning = 'on'; TRUNCATE audit_events",
    ],
)
def test_the_audit_cannot_be_changed(keys: IngressKeys, migrated: Database, deed: str):
    """Postgres itself refuses it."""
    made(keys)
    with pytest.raises(ConflictError, match="append-only"):
        execute(migrated, deed)


def test_usage_adds_up_by_key_and_day(keys: IngressKeys, ledger: UsageAndAudit):
    """Also what was refused, by its reason; the key knows its last use."""
    key, today = made(keys), date(2026, 11, 21)
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    ledger.add_usage(today, {key.id: Used(noon, 2, 100, {"409": 1})})
    ledger.add_usage(today, {key.id: Used(noon - timedelta(hours=1), 1, 50, {"409": 2, "429": 1})})
    ledger.add_usage(today + timedelta(days=1), {key.id: Used(noon, 1, 1)})
    later, first = ledger.usage(key.id, None, None)
    assert (first.accepted, first.bytes, first.refused) == (3, 150, {"409": 3, "429": 1})
    assert ledger.usage(None, "in", today + timedelta(days=1)) == [later]
    assert ledger.usage(uuid4(), None, None) == ledger.usage(None, "other", None) == []
    assert (found(keys, "s").use_count, found(keys, "s").last_used_at) == (8, noon)
