"""`try FILE`, as an operator calls it: nothing is written, and each difference is told."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
import pytest
from redis import Redis
from sqlalchemy import text

from core.db.runs import RunHistory
from core.db.tables import RunRecord
from core.errors import ConflictError
from core.operator_interfaces import Call
from schemas.operator.configuration import TrialResult
from tests.integration.operator.trial_scene import MODULE, tagging, tags, vcon, written
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.integration.support.operator_scene import AUTHOR

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene


@pytest.fixture
def new(operator: OperatorScene, tmp_path: Path) -> Path:
    """The path of another file; the running one is the small one."""
    written(operator.config)
    return tmp_path / "new.yml"


def remember(operator: OperatorScene, document: dict[str, Any], **outcomes: str) -> None:
    """A vCon in Redis, and its recorded run with the outcome of each link."""
    operator.redis.json().set(f"vcon:{document['uuid']}", "$", document)
    steps = [
        {"name": name, "kind": "link", "outcome": outcome, "seconds": 0.1, "error": None}
        for name, outcome in outcomes.items()
    ]
    run = {
        "run_id": str(uuid4()),
        "chain": "main",
        "vcon_in": document["uuid"],
        "vcon_out": document["uuid"],
        "status": "done",
        "steps": steps,
        "attempts": 1,
        "config_hash": "0",
        "queued_at": "2026-11-30T00:00:00Z",
        "started_at": "2026-11-30T00:00:00Z",
        "finished_at": "2026-11-30T00:00:01Z",
    }
    RunHistory(operator.database).write_runs([run])


def everything(operator: OperatorScene) -> tuple[dict[str, Any], list[Any]]:
    """All of Redis and of Postgres."""
    keys = {
        key: (operator.redis.type(key), _content(operator.redis, key), operator.redis.ttl(key) > 0)
        for key in operator.redis.scan_iter()
    }
    with operator.database.session() as session:
        rows = [
            sorted(str(row) for row in session.execute(text(f"SELECT * FROM {table}")))
            for table in RunRecord.metadata.tables
        ]
    return keys, rows


def _content(redis: Redis, key: str) -> Any:
    kind = redis.type(key)
    return redis.json().get(key) if kind == "ReJSON-RL" else redis.execute_command("DUMP", key)


async def test_a_changed_option_is_told_for_each_recorded_run(
    operator: OperatorScene, new: Path
) -> None:
    """The tag differs, a webhook is not called, and nothing is written anywhere."""
    with stand_in(StandIn()) as receiver:
        hook = {"module": "links.webhook", "options": {"webhook-urls": [f"{receiver.base}/x"]}}
        chains = {"main": {"links": ["tag", "hook"], "ingress_lists": ["calls"]}}
        written(operator.config, links=tagging("a") | {"hook": hook}, chains=chains)
        written(new, links=tagging("b") | {"hook": hook}, chains=chains)
        for _ in range(2):
            document = vcon(uuid=str(uuid4()), attachments=tags("a:a", "own:1"))
            remember(operator, document, tag="ok", hook="ok")
        before = everything(operator)
        ran = await operator.cli(f"try {new} --json")
        called = await operator.cli(f"try {new} --run hook")
        assert everything(operator) == before
        assert receiver.asked("/x") == []
    assert ran.code == 0, ran.err
    result = ran.json
    assert (result["verdict"], result["totals"]["changed"]) == ("changed", 2)
    assert [(each["link"], each["how"]) for each in result["links"]] == [
        ("tag", "run"),
        ("hook", "stub"),
    ]
    assert [tuple(each.values()) for each in result["vcons"][0]["differences"]] == [
        ("tags", "removed", "a:a"),
        ("tags", "added", "b:b"),
    ]
    assert called.code == 1
    assert "the network" in called.out
    assert "verdict: fails" in called.out


async def test_the_running_configuration_comes_out_the_same(
    operator: OperatorScene, new: Path
) -> None:
    """A vCon that is gone is told, and what another program has put in the place of one stays."""
    document, gone, *others = [vcon(uuid=str(uuid4()), attachments=tags("a:a")) for _ in range(5)]
    for each in (document, gone, *others):
        remember(operator, each, tag="ok")
        if each is not document:
            operator.redis.delete(f"vcon:{each['uuid']}")
    odd = ["no json", "[1]", '{"uuid": 3, "vcon": [], "dialog": "x"}']
    for each, stored in zip(others, odd, strict=True):
        operator.redis.set(f"vcon:{each['uuid']}", stored)
    ran = await operator.cli(f"try {written(new)} --json")
    assert [operator.redis.get(f"vcon:{each['uuid']}") for each in others] == odd
    assert {each["vcon"]: each["same"] for each in ran.json["vcons"]}[document["uuid"]] is True
    not_tried = {each["vcon"]: each["why"] for each in ran.json["not_tried"]}
    assert ran.json["notes"][0].startswith("5 of 5 runs were made with another configuration")
    assert not_tried[gone["uuid"]] == f"Unknown vCon: {gone['uuid']}"
    assert len(not_tried) + len(ran.json["vcons"]) == 5


async def test_given_vcons_are_compared_with_the_running_chain(
    operator: OperatorScene, new: Path, tmp_path: Path
) -> None:
    """From a file with one vCon or a list; one that is no vCon is told."""
    given = tmp_path / "x.json"
    given.write_text(json.dumps([vcon(), {"vcon": "0.4.0", "uuid": "no uuid"}]))
    ran = await operator.cli(f"try {written(new, links=tagging('a', 'b'))} --vcon {given} --json")
    assert ran.code == 0
    [tried] = ran.json["vcons"]
    assert tried["compared_with"] == "running configuration"
    assert tried["differences"] == [{"part": "tags", "change": "added", "label": "b:b"}]
    assert len(ran.json["not_tried"]) == 1


async def test_unknown_names_are_refused(operator: OperatorScene, new: Path) -> None:
    """Of a chain and of a link, and a link that is named twice."""
    written(new)
    chain = await operator.cli(f"try {new} --chain other")
    link = await operator.cli(f"try {new} --skip other")
    twice = await operator.cli(f"try {new} --skip tag --stub tag")
    assert (chain.code, link.code, twice.code) == (4, 4, 4)
    assert "Unknown chain: other; known: main" in chain.err
    assert "Unknown link: other; known: tag" in link.err
    assert "the link tag is also among those to stub" in twice.err


async def test_a_vcon_that_only_a_storage_has(
    operator: OperatorScene, new: Path, tmp_path: Path
) -> None:
    """It is read from there, and does not come back to Redis."""
    storages = {"files": {"module": "storage.file", "options": {"path": str(tmp_path)}}}
    written(operator.config, storages=storages)
    written(new, storages=storages, links=tagging("b"))
    document = vcon(uuid=str(uuid4()), attachments=tags("a:a"))
    remember(operator, document, tag="ok")
    operator.redis.delete(f"vcon:{document['uuid']}")
    (tmp_path / f"{document['uuid']}.json").write_bytes(orjson.dumps(document))
    ran = await operator.cli(f"try {new} --json")
    assert ran.json["totals"]["changed"] == 1
    assert not operator.redis.exists(f"vcon:{document['uuid']}")


async def test_a_link_that_ends_its_process_fails_its_vcon(
    operator: OperatorScene, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code says so. The link is one that is installed in MODULES_DIR."""
    (folder := tmp_path / str(sys.implementation.cache_tag)).mkdir()
    (folder / "acting_link.py").write_text(MODULE)
    monkeypatch.setenv("MODULES_DIR", str(tmp_path))
    remember(operator, vcon(uuid=str(uuid4())), it="ok")
    link = {"it": {"module": "acting_link", "options": {"act": "leave"}}}
    written(new, links=link, chains={"main": {"links": ["it"], "ingress_lists": ["calls"]}})
    ran = await operator.cli(f"try {new}")
    assert ran.code == 1
    assert "error: link it ended the process, with exit code 3" in ran.out
    assert "1 tried: 0 the same, 1 different (1 fail now); 0 not tried" in ran.out
    assert "verdict: fails: vCons that ended well before fail now" in ran.out


async def test_one_trial_at_a_time_within_a_limit(
    operator: OperatorScene, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one in the same process is refused at once; what is left at the end is told."""
    monkeypatch.setenv("TRY_SECONDS", "1e-9")
    remember(operator, vcon(uuid=str(uuid4())), tag="ok")
    content = written(new).read_text()
    async with operator.api() as api:
        trials = [
            api.perform("try_configuration", {"content": content}, Call(AUTHOR)) for _ in range(2)
        ]
        first, second = await asyncio.gather(*trials, return_exceptions=True)
    assert isinstance(second, ConflictError)
    assert isinstance(first, TrialResult)
    assert first.verdict == "nothing tried"
    assert first.not_tried[0].why.endswith("(TRY_SECONDS)")
