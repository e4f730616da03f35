"""`config show`, `config diff` and `try`, as an operator calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.operator_cli.commands.configuration import _render_diff
from schemas.operator.configuration import ConfigurationDiff
from tests.integration.operator.trial_scene import tagging, vcon, written

if TYPE_CHECKING:
    from tests.integration.support.operator_scene import OperatorScene

KEY = "a-key-of-a-partner-1"


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
    assert KEY not in ran.out
    lines = [str(row) for table in _render_diff(ConfigurationDiff(**found)) for row in table[2:]]
    assert "[('calls', 'main', None, 3), ('mails', None, 'main', 0)]" in lines


async def test_modules_that_are_not_here(
    operator: OperatorScene, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is installed: it is told what would be, and what is missing."""
    links = {
        "x": {"module": "not_here", "pip_name": "not-here-package==1"},
        "y": {"module": "not_there", "pip_name": "not-there-package"},
        "z": {"module": "links.nowhere"},
    }
    written(new, links=links, chains={"main": {"links": [*links], "ingress_lists": ["calls"]}})
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("DYNAMIC_INSTALL", "true")
    ran = await operator.cli(f"config diff {new} --json")
    assert ran.code == 1, ran.err
    assert {each["module"]: (each["state"], each["detail"]) for each in ran.json["modules"]} == {
        "not_here": ("would be installed", ""),
        "not_there": ("missing", "not installed in production: write one version, name==1.2.3"),
        "links.nowhere": ("missing", "no package is named for it (pip_name)"),
    }
    assert ran.json["not_checked"] == ["links.x: its options; the module is not here"]
    assert [each.partition(":")[0] for each in ran.json["problems"]] == ["links.y", "links.z"]


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
        (b"[" * 1_200, 1, "is nested too deeply"),
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


async def test_values_of_the_environment_are_not_shown(
    operator: OperatorScene, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may name a variable wherever its value would be shown."""
    secret = "Sec-ret_of-a-Plugin-7"
    monkeypatch.setenv("SOME_VALUE", secret)
    value = "${SOME_VALUE}"
    written(
        new,
        links={"tag": {"module": value, "options": {"tags": [value]}}},
        chains={"main": {"links": ["tag"], "ingress_lists": [value]}},
    )
    valid = await operator.cli(f"config diff {new} --json")
    tried = await operator.cli(f"try {new} --vcon {given(new.parent / 'x.json')} --json")
    written(new, chains={"main": {"links": [value], "ingress_lists": ["calls"]}})
    invalid = await operator.cli(f"config diff {new} --json")
    assert valid.json["lists"][-1]["name"] == "[redacted]"
    for ran in (valid, tried, invalid):
        assert "[redacted]" in ran.out
        assert secret not in ran.out + ran.err


def given(path: Path) -> Path:
    """A file with a vCon."""
    path.write_text(json.dumps(vcon()))
    return path
