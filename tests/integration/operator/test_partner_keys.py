"""`keys`: made, listed, rotated and revoked; the secret is shown once and kept nowhere."""

from __future__ import annotations

import pytest

from core.db.usage_and_audit import PartnerRecords
from pipeline.ingest.key_cache import hashed
from tests.integration.support.operator_scene import OperatorScene

WHY = "--yes --reason 'a test'"


def hashes(operator: OperatorScene) -> set[str]:
    """The hashes of the keys that work or have worked."""
    from sqlalchemy import text

    with operator.database.session() as session:
        return set(session.scalars(text("SELECT secret_sha256 FROM ingress_keys")))


async def test_a_key_from_its_creation_to_its_end(operator: OperatorScene) -> None:
    """Postgres has the hash of what the command shows; the audit has who and why."""
    label = "<b>[bold]Acme"
    made = await operator.cli(f"keys create --list in --label '{label}' --days 30 {WHY} --json")
    assert made.code == 0
    secret, key_id = made.json["secret"], made.json["key"]["id"]
    assert hashed(secret) in hashes(operator)
    shown = await operator.cli("keys list --list in")
    assert label in shown.out
    rotated = await operator.cli(f"keys rotate {key_id} --grace 0 {WHY}")
    assert (rotated.code, rotated.err) == (0, "")
    fresh = rotated.out.rpartition("secret, shown only now: ")[2].strip()
    assert hashed(fresh) in hashes(operator)
    assert fresh != secret
    [now, *_] = (await operator.cli("keys list --json")).json["keys"]
    assert now["lineage"] == made.json["key"]["lineage"]
    revoked = await operator.cli(f"keys revoke {now['id']} {WHY} --json")
    assert revoked.json["key"]["revoked_at"] is not None
    events = (await operator.cli("audit --json")).json["events"]
    assert {"keys_create", "keys_rotate", "keys_revoke"} <= {each["action"] for each in events}
    assert secret not in str(events)
    assert fresh not in str(events)
    assert all("test" in each["actor"] or each["actor"].startswith("cli:") for each in events)


async def test_a_secret_is_in_no_list(operator: OperatorScene) -> None:
    """Keys of the configuration are listed once the service has written them."""
    made = await operator.cli(f"keys create --list second --label x {WHY} --json")
    listed = await operator.cli("keys list --json")
    assert made.json["secret"] not in listed.out
    assert PartnerRecords(operator.database).keys.all("in") == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("keys create --list unknown --label x", 4),
        ("keys create --list in --label ''", 4),
        (f"keys create --list in --label {'x' * 201}", 4),
        ("keys rotate 00000000-0000-0000-0000-000000000001", 4),
        ("keys revoke 00000000-0000-0000-0000-000000000001", 4),
        ("keys revoke no-uuid", 4),
    ],
)
async def test_what_is_refused(operator: OperatorScene, line: str, code: int) -> None:
    """With what was wrong; no key is made."""
    ran = await operator.cli(f"{line} {WHY}")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("error: ")
    assert hashes(operator) == set()
