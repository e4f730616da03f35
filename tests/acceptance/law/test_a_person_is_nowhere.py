"""After the erasure of a person nothing that the system keeps has a word of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.db.database import Database
from pipeline.law.writing.statements import ERASURE_REQUEST, ERASURE_STATEMENT, verified
from pipeline.redis_client import client
from schemas.law.erasures import Erasure
from tests.acceptance.law.conversations import ERASE, KEY, Around, Conversations, conversations
from tests.acceptance.law.person import Person
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.integration.support.otlp_collector import collector
from tests.law_keys import public_pem

KINDS = {"file", "object", "redis", "table"}
"""Where the values of a person are before the erasure."""
STATES = {
    ("redis", "redis"): "verified",
    ("link", "second_try"): "cannot",
    ("link", "refuse"): "cannot",
    ("link", "replace"): "cannot",
    ("tracer", "gossip"): "cannot",
    ("storage", "files"): "verified",
    ("storage", "bucket"): "verified",
    ("storage", "receiver"): "acknowledged",
    ("storage", "broken"): "deleted",
    ("storage", "forgetful"): "cannot",
    ("egress", "kept_out"): "verified",
}
"""What became of each destination."""


@pytest.fixture
async def system(
    tmp_path: Path,
    redis_url: str,
    migrated: Database,
    database_url: str,
    database_environment: dict[str, str],
    s3_url: str,
    bucket: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Conversations]:
    """The system with what is around it, and its variables in this process, for commands."""
    folder = tmp_path / "system"
    servers = folder, redis_url, database_url, database_environment
    with stand_in(StandIn(replies={ERASE: {"erased": True}})) as receiver, collector() as traces:
        around = Around(*servers, s3_url, bucket, traces, receiver)
        for name, value in around.settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
        monkeypatch.syspath_prepend(folder / "plugins")
        monkeypatch.setattr(client, "_installed", list(client._installed))
        async with conversations(around) as running:
            yield running


async def test_nothing_is_found_of_an_erased_person(system: Conversations) -> None:
    """Neither in a key, a row, a file, an object, a line, a span nor a metric."""
    person, other = Person(), Person()
    await system.post("waiting", other.vcon())
    kept = f"vcon:{system.fed.pop('waiting')}"
    await system.feed(person)
    await system.perform("backup", file=str(system.around.backup))
    before = person.traces(system.everything())
    assert {where.split()[0] for where in before} == KINDS
    preview = await system.perform("erase_party", tel=person.tel, dry_run=True)
    assert (preview.found, preview.erasure) == (6, None)
    assert before.keys() - {"redis pc:index"} <= person.traces(system.everything()).keys()
    requested = await system.perform("erase_party", tel=person.tel)
    erasure = await system.ended(requested.erasure.id)
    pieces = list(system.everything())
    assert person.traces(pieces) == {}
    assert other.traces(pieces)
    states = {(each.kind, each.name): each.state for each in erasure.targets}
    assert states == STATES
    check_statement(system, erasure)
    await check_doors(system, person)
    await system.recovered()
    assert system.redis.exists(kept)
    await check_refused(system, person)
    (told := system.around.backup.with_name("erased")).write_text(f"{erasure.statement}\n")
    restored = await system.restored(told)
    assert restored.erased == len(erasure.vcons)
    [again] = (await system.perform("erasures")).erasures
    assert set((await system.ended(again.id)).vcons) == set(erasure.vcons)
    assert system.redis.exists(kept)
    await check_refused(system, person)


def check_statement(system: Conversations, erasure: Erasure) -> None:
    """It can be verified, and says what is true."""
    [text, anchor] = [erasure.statement or "", public_pem(KEY)]
    said = verified(text, ERASURE_STATEMENT, [anchor], datetime.now(UTC)).content
    assert said["state"] == erasure.state == "complete_with_exceptions"
    assert {each["name"] for each in said["exceptions"]} >= {"forgetful", "gossip"}
    assert set(system.fed.values()) < set(said["vcons"])
    told = [each for path, _, each in system.around.receiver.got if path == ERASE]
    assert told
    for each in told:
        asked = verified(each.decode(), ERASURE_REQUEST, [anchor], datetime.now(UTC)).content
        assert asked["erasure"] == erasure.id


async def check_refused(system: Conversations, person: Person) -> None:
    """No uuid comes in again, and nothing is found after that."""
    for chain, vcon_uuid in system.fed.items():
        document = person.vcon(uuid=vcon_uuid)
        sent = await system.http.post("/vcon", params={"ingress_lists": chain}, json=document)
        assert sent.status_code == 410, sent.text
        assert (await system.http.get(f"/vcon/{vcon_uuid}")).status_code == 410
    assert person.traces(system.everything()) == {}


async def check_doors(system: Conversations, person: Person) -> None:
    """No uuid comes back: not sent again, pushed by hand, read from a storage, nor replayed."""
    vcon_uuid = system.fed["kept"]
    pushed = json.dumps(person.vcon(uuid=vcon_uuid))
    system.redis.execute_command("JSON.SET", f"vcon:{vcon_uuid}", ".", pushed)
    system.redis.rpush("kept", vcon_uuid)
    await system.taken("kept")
    again = system.around.folder / "files" / "2026" / "03" / "01" / f"{vcon_uuid}.json"
    again.write_text(pushed)
    assert (await system.http.get(f"/vcon/{vcon_uuid}")).status_code == 410
    again.unlink()
    system.redis.rpush("DLQ:refused", system.fed["refused"])
    replay = await system.http.post("/dlq/reprocess", params={"ingress_list": "refused"})
    assert replay.json() == 0, replay.text
    assert system.redis.lpop("DLQ:refused") == system.fed["refused"]
    assert system.redis.lrange("kept_out", 0, -1) == []
    await check_refused(system, person)
