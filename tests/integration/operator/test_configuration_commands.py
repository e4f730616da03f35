"""`config show`, `config diff` and `try`, as an operator calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml
from redis import Redis
from sqlalchemy import text

from core.db.runs import RunHistory
from core.db.tables import RunRecord
from tests.integration.operator.trial_scene import tags, vcon
from tests.integration.support.http_stand_in import StandIn, stand_in

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene

KEY = "a-key-of-a-partner-1"


def written(path: Path, **sections: Any) -> Path:
    """A configuration file with these sections over those of a small one."""
    document: dict[str, Any] = {
        "links": {"tag": {"module": "links.tag", "options": {"tags": ["a"]}}},
        "chains": {"main": {"links": ["tag"], "ingress_lists": ["calls"]}},
    }
    path.write_text(yaml.safe_dump(document | sections))
    return path


def tagging(*names: str) -> dict[str, Any]:
    """The section `links` with one link."""
    return {"tag": {"module": "links.tag", "options": {"tags": list(names)}}}


@pytest.fixture
def new(operator: OperatorScene, tmp_path: Path) -> Path:
    """The path of another file; the running one is the small one."""
    written(operator.config)
    return tmp_path / "new.yml"


async def test_the_running_configuration_is_masked(operator: OperatorScene) -> None:
    """Keys have masks, and so has what is named as a secret."""
    written(operator.config, ingress_auth={"calls": KEY})
    ran = await operator.cli("config show")
    assert ran.code == 0
    assert KEY not in ran.out
    assert "calls: '[redacted " in ran.out


async def test_no_difference(operator: OperatorScene, new: Path) -> None:
    """The same file."""
    ran = await operator.cli(f"config diff {written(new)}")
    assert (ran.code, ran.out.strip()) == (0, "no difference")


async def test_what_a_configuration_changes(operator: OperatorScene, new: Path) -> None:
    """Chains, options, lists with what waits in them, and keys without the keys."""
    written(operator.config, ingress_auth={"calls": KEY})
    operator.redis.rpush("calls", *(str(uuid4()) for _ in range(3)))
    written(
        new,
        links=tagging("b"),
        chains={"main": {"links": ["tag"], "ingress_lists": ["mails"], "timeout": 5}},
        ingress_auth={"mails": {"key": f"{KEY}-new", "label": "partner"}},
    )
    ran = await operator.cli(f"config diff {new} --json")
    assert ran.code == 0
    found = ran.json
    assert found["chains"] == [
        {
            "section": "chains",
            "name": "main",
            "change": "changed",
            "details": [
                "ingress_lists: calls removed",
                "ingress_lists: mails added",
                "timeout: None -> 5.0",
                "link tag: its definition differs",
            ],
        }
    ]
    assert found["sections"][0]["details"] == ['options.tags: ["a"] -> ["b"]']
    assert found["lists"] == [
        {"name": "calls", "before": "main", "after": None, "waiting": 3},
        {"name": "mails", "before": None, "after": "main", "waiting": 0},
    ]
    assert [(each["ingress_list"], each["change"], each["count"]) for each in found["keys"]] == [
        ("calls", "revoked", 1),
        ("mails", "added", 1),
    ]
    assert found["confirm"] == ["ingress_auth.calls: every key it had is gone"]
    shown = (await operator.cli(f"config diff {new}")).out
    assert KEY not in ran.out + shown
    assert ["calls", "main", "3"] in [line.split() for line in shown.splitlines()]


async def test_modules_that_are_not_here(
    operator: OperatorScene, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is installed: it is told what would be, and what is missing."""
    links = {"x": {"module": "not_here", "pip_name": "not-here-package"}}
    written(new, links=links, chains={"main": {"links": ["x"], "ingress_lists": ["calls"]}})
    monkeypatch.setenv("DYNAMIC_INSTALL", "true")
    would = (await operator.cli(f"config diff {new} --json")).json
    monkeypatch.setenv("DYNAMIC_INSTALL", "false")
    lacks = await operator.cli(f"config diff {new} --json")
    assert [(each["module"], each["state"]) for each in would["modules"]] == [
        ("not_here", "would be installed")
    ]
    assert would["not_checked"] == ["links.x: its options; the module is not here"]
    assert would["problems"] == []
    assert lacks.code == 1
    assert lacks.json["modules"][0]["detail"] == "nothing is installed here (DYNAMIC_INSTALL)"
    assert "no module named 'not_here'" in lacks.json["problems"][0]


async def test_problems_are_those_of_a_start(operator: OperatorScene, new: Path) -> None:
    """Of the content, and of the options of plugins."""
    written(new, chains={"main": {"links": ["taag"], "ingress_lists": ["calls"]}})
    unknown = await operator.cli(f"config diff {new}")
    written(new, links={"tag": {"module": "links.tag", "options": {"tags": 3}}})
    wrong = await operator.cli(f"config diff {new}")
    assert (unknown.code, wrong.code) == (1, 1)
    assert "no link named 'taag'" in unknown.out
    assert "links.tag: options.tags" in wrong.out


def hostile(path: Path, content: bytes) -> None:
    """A file with this content."""
    path.write_bytes(content)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (b"chains: {main: {links: [tag", 1, "is not valid YAML"),
        (b"chains:\n  caf\xe9: {}\n", 4, "is not UTF-8: byte 13"),
        (BOMB.encode(), 1, "has more than 1000000 values"),
        (b"[" * 3_000, 1, "is nested too deeply"),
        (b"a: &a {b: *a}", 1, "contains itself"),
        (b"#" * 1_100_000, 4, "has more than 1048576 bytes"),
        (b"", 1, "is empty"),
        (b"a: !!python/object/apply:os.system [x]", 1, "is not valid YAML"),
        (b"\x00", 1, "is not valid YAML"),
    ],
)
async def test_hostile_files(
    operator: OperatorScene, new: Path, content: bytes, code: int, told: str
) -> None:
    """Each is refused with what is wrong, for both commands."""
    hostile(new, content)
    for line in (f"config diff {new}", f"try {new}"):
        ran = await operator.cli(line)
        assert ran.code == code
        assert told in ran.out + ran.err


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
