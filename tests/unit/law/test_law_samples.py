"""samples/law: the gate decides about each file what the README says, also as it is stored."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
import yaml

from pipeline.config.parser import parse
from pipeline.law.basis.evaluation import evaluate
from pipeline.vcon.normalization import normalised
from pipeline.vcon.validation import findings
from tests.law_keys import certificate_pem, ec_key, private_pem
from tests.unit.support.source_files import ROOT

FOLDER = ROOT / "samples" / "law"
FILES = {path.name: json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))}
README = (FOLDER / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w-]+\.json)` \| `?(\w+)`? \| `?(\w+)`? \|", re.MULTILINE)
ROWS = {file: told for file, *told in ROW.findall(README)}
NOW = datetime(2026, 7, 1, tzinfo=UTC)
KEY = {
    "LAW_KEY": private_pem(ec_key()),
    "LAW_CHAIN": certificate_pem(ec_key()),
    "DATA_FOLDER": "/tmp",
}
CONFIG = parse(yaml.safe_load((FOLDER / "config.yml").read_text(encoding="utf-8")), KEY)


def test_the_readme_has_every_file() -> None:
    """And no other."""
    assert list(ROWS) == list(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_sample_is_decided_about_as_told(name: str) -> None:
    """By the policy of the configuration beside it, before and after normalisation."""
    assert CONFIG.law is not None
    assert CONFIG.law.basis is not None
    assert findings(FILES[name]) == []
    for document in (FILES[name], normalised(FILES[name])):
        decisions = (
            evaluate(document, purpose, NOW, CONFIG.law.basis)
            for purpose in ("ai_training", "redistribution")
        )
        assert [each.error or "allowed" for each in decisions] == ROWS[name]


def test_each_step_of_the_configuration_asks() -> None:
    """Its link, its storage and its egress."""
    [chain] = CONFIG.chains.values()
    assert [each.requires for each in chain.links] == ["ai_training"]
    assert [each.requires for each in chain.storages] == ["redistribution"]
    assert chain.egress is not None
    assert chain.egress.requires == "redistribution"
    assert not CONFIG.notes
