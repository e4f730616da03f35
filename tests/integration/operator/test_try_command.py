"""`try FILE`, as an operator calls it: nothing is written, and each difference is told."""

from __future__ import annotations

import asyncio
import json
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
from tests.integration.operator.trial_scene import acting_link, tagging, tags, vcon, written
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.integration.support.operator_scene import AUTHOR

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene

__all__ = ["acting_link"]


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
            [str(row) for row in session.execute(text(f"SELECT * FROM {table} ORDER BY 1"))]
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
    """A vCon that is gone is told; nothing else differs."""
    document = vcon(uuid=str(uuid4()), attachments=tags("a:a"))
    remember(operator, document, tag="ok")
    gone = vcon(uuid=str(uuid4()))
    remember(operator, gone, tag="ok")
    operator.redis.delete(f"vcon:{gone['uuid']}")
    ran = await operator.cli(f"try {written(new)}")
    assert ran.code == 0
    assert "1 tried: 1 the same, 0 different (0 fail now); 1 not tried" in ran.out
    assert "Unknown vCon" in ran.out


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


@pytest.mark.parametrize("stored", ["no json", "[1]", '{"uuid": 3, "vcon": [], "dialog": "x"}'])
async def test_what_another_program_has_put_in_place_of_a_vcon(
    operator: OperatorScene, new: Path, stored: str
) -> None:
    """Its key stays as it is; what is no vCon is told, the next vCon is tried."""
    first, second = (vcon(uuid=str(uuid4()), attachments=tags("a:a")) for _ in range(2))
    for each in (first, second):
        remember(operator, each, tag="ok")
    operator.redis.delete(f"vcon:{first['uuid']}")
    operator.redis.set(f"vcon:{first['uuid']}", stored)
    ran = await operator.cli(f"try {written(new)} --json")
    assert operator.redis.get(f"vcon:{first['uuid']}") == stored
    results = {each["vcon"]: each["same"] for each in ran.json["vcons"]}
    assert results[second["uuid"]] is True
    assert ran.json["totals"]["not_tried"] + ran.json["totals"]["tried"] == 2


async def test_a_link_that_ends_its_process_fails_its_vcons_only(
    operator: OperatorScene, new: Path, acting_link: Path
) -> None:
    """Each of them, and the exit code says so."""
    for _ in range(2):
        remember(operator, vcon(uuid=str(uuid4())), it="ok")
    link = {"it": {"module": "acting_link", "options": {"act": "leave"}}}
    written(new, links=link, chains={"main": {"links": ["it"], "ingress_lists": ["calls"]}})
    ran = await operator.cli(f"try {new}")
    assert ran.code == 1
    assert ran.out.count("error: link it ended the process, with exit code 3") == 2
    assert "verdict: fails: vCons that ended well before fail now" in ran.out


async def test_the_time_of_a_trial_is_limited(
    operator: OperatorScene, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left then is told, and nothing is said of it."""
    monkeypatch.setenv("TRY_SECONDS", "1e-9")
    remember(operator, vcon(uuid=str(uuid4())), tag="ok")
    ran = await operator.cli(f"try {written(new)} --json")
    assert (ran.code, ran.json["verdict"]) == (1, "nothing tried")
    assert ran.json["not_tried"][0]["why"].endswith("(TRY_SECONDS)")


async def test_one_trial_at_a_time(operator: OperatorScene, new: Path) -> None:
    """A second one in the same process is refused at once."""
    remember(operator, vcon(uuid=str(uuid4())), tag="ok")
    content = written(new).read_text()
    async with operator.api() as api:
        trials = [
            api.perform("try_configuration", {"content": content}, Call(AUTHOR)) for _ in range(2)
        ]
        first, second = await asyncio.gather(*trials, return_exceptions=True)
    assert isinstance(first, TrialResult)
    assert isinstance(second, ConflictError)
