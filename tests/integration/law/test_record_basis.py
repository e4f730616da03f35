"""`basis record`, `basis show`, `RecordBasis`: the same operation on each surface."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from core.action_registry import ActionRegistry
from core.errors import UnavailableError
from core.request_context import current_request
from core.rpc.dispatcher import Dispatcher
from core.settings import Settings, load_settings
from pipeline.ledger.worker_bases import WorkerBases
from tests.integration.support.operator_scene import OperatorScene, operator
from tests.integration.support.pipeline_fixtures import new_uuid

__all__ = ["operator"]

WHY = "--yes --reason 'ticket 7'"
NUMBER, WRITTEN = "+12015550123", "'(201) 555-0123'"


async def test_a_grant_for_a_vcon(operator: OperatorScene) -> None:
    """It is shown, and audited with its target and reason."""
    one = new_uuid()
    line = f"basis record --vcon {one} --grant --purpose crm --until 2999-01-01T00:00:00Z --ref T7"
    made = await operator.cli(f"{line} {WHY}")
    assert (made.code, made.err) == (0, "")
    assert f"recorded for {one}" in made.out
    [shown] = (await operator.cli(f"basis show --vcon {one} --json")).json["bases"]
    assert shown["subject"] == one
    assert (shown["granted"], shown["purpose"], shown["basis"]) == (True, "crm", "consent")
    assert (shown["ref"], shown["expires_at"]) == ("T7", "2999-01-01T00:00:00Z")
    [event] = (await operator.cli("audit --json")).json["events"]
    assert (event["action"], event["target"]) == ("record_basis", one)
    assert (event["detail"]["reason"], event["detail"]["purpose"]) == ("ticket 7", "crm")


async def test_a_denial_for_a_person(operator: OperatorScene) -> None:
    """Found by any notation of the number, which neither the audit nor the answer has."""
    denied = await operator.cli(f"basis record --tel {WRITTEN} --deny {WHY} --json")
    assert (denied.json["purpose"], denied.json["granted"]) == (None, False)
    granted = await operator.cli(f"basis record --tel {NUMBER} --grant --purpose crm {WHY} --json")
    assert granted.json["subject"] == denied.json["subject"]
    found = await operator.cli("basis show --tel 201-555-0123 --limit 1")
    assert "granted" in found.out
    assert f"more with --before {granted.json['id']}" in found.out
    rest = await operator.cli(f"basis show --tel {NUMBER} --before {granted.json['id']} --json")
    assert [each["id"] for each in rest.json["bases"]] == [denied.json["id"]]
    other = await operator.cli("basis show --mail ann@example.com --json")
    assert other.json == {"bases": [], "before": None}
    audit = await operator.cli("audit --json")
    assert {each["target"] for each in audit.json["events"]} == {denied.json["subject"]}
    said = audit.out + denied.out + rest.out  # times and ids may have three of its digits
    assert not any(each in said for each in ("5550123", "555-0123", "2015550"))


REFUSED = {
    "--tel 1 --vcon 0190163d-8694-739b-aea5-966c26f8ad91 --deny": "not allowed with",
    "--tel ' ' --deny": "nothing that can be searched",
    "--mail a@b.example --grant": "purpose: a grant needs one",
    "--mail a@b.example --grant --purpose '*'": "every purpose has none",
    "--mail a@b.example --grant --purpose 'a\x00b'": "purpose: only characters that can be printed",
    "--mail a@b.example --deny --ref ' a'": "ref: only characters",
    "--mail a@b.example --deny --ref '\u202e'": "ref: ",
    "--mail a@b.example --deny --until 2999-01-01T00:00:00Z": "only a grant ends",
    "--mail a@b.example --grant --purpose x --until 2001-01-01T00:00:00Z": "it has passed",
    "--mail a@b.example --deny --given 2999-01-01T00:00:00Z": "in the future",
    "--mail a@b.example --deny --given soon": "is no time",
    "--mail a@b.example --deny --purpose x --basis habit": "invalid choice",
}


async def test_what_does_not_fit_is_refused(operator: OperatorScene) -> None:
    """With what was wrong; nothing is recorded or audited."""
    for words, message in REFUSED.items():
        try:
            refused = await operator.cli(f"basis record {words} {WHY}")
            assert refused.code != 0
            told = refused.err + refused.out
        except SystemExit:
            told = operator.capture.readouterr().err
        assert message in told
    with operator.database.session() as session:
        counts = "SELECT (SELECT count(*) FROM law_bases) + (SELECT count(*) FROM audit_events)"
        assert session.connection().exec_driver_sql(counts).scalar_one() == 0


LAW = """
law: {basis: {aliases: {asr: transcription}}}
tracers:
  t: {module: tracers.jlinc, requires: {purpose: transcription}}
"""


async def test_a_record_says_whom_it_reaches(operator: OperatorScene) -> None:
    """Redis and the index are asked; what can match nothing is noted, and a slip is refused."""
    operator.config.write_text(operator.config.read_text() + LAW)
    one, other = new_uuid(), new_uuid()
    for uuid in (one, other):
        operator.redis.json().set(f"vcon:{uuid}", ".", {"uuid": uuid})
    operator.redis.sadd(f"tel:{NUMBER}", one, other)
    operator.redis.sadd("mailto:ann", one)
    grant = "--grant --purpose asr"
    known = await operator.cli(f"basis record --tel {WRITTEN} {grant} {WHY} --json")
    assert (known.json["vcons"], known.json["more"], known.json["notes"]) == (2, False, [])
    for who, vcons, note in (
        (f"--vcon {one}", 1, ""),
        (f"--vcon {new_uuid()}", 0, "check the uuid"),
        ("--tel 4711", 0, "no number of a numbering plan"),
        ("--mail bob@example.com", 0, ""),
        ("--mail ann", 1, "mail: expected one address"),
    ):
        ran = await operator.cli(f"basis record {who} {grant} {WHY}")
        assert (ran.code, ran.err) == (0, "")
        assert f"about now: {vcons}\n" in ran.out
        assert note in ran.out
    odd = await operator.cli(f"basis record --vcon {one} --deny --purpose crm {WHY} --json")
    assert "steps require 'transcription'" in odd.json["notes"][0]
    for words, why in (
        ("--mail bob --deny", "mail: expected one address"),
        (f"--vcon {one} --deny --purpose transcripton", "did you mean 'transcription'?"),
    ):
        ran = await operator.cli(f"basis record {words} {WHY}")
        assert ran.code == 4
        assert why in ran.err


async def test_a_worker_without_postgres(
    operator: OperatorScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so at each look, and the step waits."""
    monkeypatch.setenv("POSTGRES_PORT", "1")
    worker = WorkerBases(load_settings(Settings))
    try:
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await worker.of(new_uuid(), [])
    finally:
        worker.close()


async def test_the_action_records_and_a_worker_reads(operator: OperatorScene) -> None:
    """201 with the record; a worker's next look has it."""
    one = new_uuid()
    current_request.set(("ref-1", "RecordBasis"))
    dispatcher = Dispatcher(ActionRegistry.discover("actions"), run_blocking=asyncio.to_thread)
    fields: dict[str, Any] = {"vcon_uuid": one, "granted": True, "purpose": "crm", "reason": "T7"}
    worker = WorkerBases(load_settings(Settings))
    try:
        async with operator.api() as api:
            pipeline = SimpleNamespace(operator=api)
            client: Any = SimpleNamespace(pipeline=pipeline, service=SimpleNamespace(id=12))
            made = await dispatcher.answer("RecordBasis", fields, client, None)
            refused = await dispatcher.answer(
                "RecordBasis", fields | {"purpose": None}, client, None
            )
            [record] = await worker.of(one, [{"tel": NUMBER}])
    finally:
        worker.close()
    assert made.status_code == 201, made.message
    assert json.loads(json.dumps(made.fields))["actor"] == "service:12"
    assert refused.status_code == 400
    assert (record.id, record.granted, record.purpose) == (made.fields["id"], True, "crm")
