"""`docs/configuration.md` says what the code does."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from pipeline import live_config
from pipeline.config.parser import Chain, LinkStep, PipelineConfig, StorageSpec, parse
from pipeline.redis_client.keys import RESERVED_PREFIXES
from tests.law_keys import certificate_pem, ec_key, private_pem

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
ENVIRON = {
    "VCON_DB_PASSWORD": "x",
    "PARTNER_ONE_KEY": "key-of-partner-one",
    "PARTNER_TWO_KEY": "key-of-partner-two",
}


def examples() -> list[str]:
    """The whole one, and those of single sections."""
    return re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_of_sections_are_accepted() -> None:
    """They have nothing wrong, in a file of their own, mostly without chains."""
    certificate = certificate_pem(ec_key())
    keys = {"LAW_KEY": private_pem(ec_key()), "LAW_CHAIN": certificate, "PARTNER_CA": certificate}
    for example in examples()[1:]:
        notes = parse(yaml.safe_load(example), ENVIRON | keys).notes
        assert all("no enabled chain uses it" in note for note in notes)


def test_the_example_is_accepted() -> None:
    """The page's example has nothing wrong and nothing worth a note."""
    example, *_ = examples()
    config = parse(yaml.safe_load(example), ENVIRON)
    assert config.notes == ()
    assert len(config.chains["main"].links) == 3


def test_the_example_starts(tmp_path: Path) -> None:
    """Its modules are there and take their options: a chain could run."""
    example, *_ = examples()
    file = tmp_path / "config.yml"
    file.write_text(example)
    loaded = live_config.load(file, ENVIRON)
    assert [chain.name for chain in loaded.config.enabled_chains] == ["main"]


@pytest.mark.parametrize("model", [Chain, LinkStep, StorageSpec])
def test_every_key_is_in_a_table(model: type) -> None:
    """What can be written about a chain, a link or a storage is a row of a table."""
    given = {"name", "plugin", "unset", "connections", "written", "broken"}
    keys = {part.name for part in fields(model)} - given
    assert [key for key in sorted(keys) if f"\n| `{key}` |" not in PAGE] == []


def test_every_section_is_mentioned() -> None:
    """Each section of the file has its place on the page."""
    sections = {part.name for part in fields(PipelineConfig)} - {
        "notes",
        "strict",
        "filled",
        "ingress_keys",
        "text",
    }
    assert [
        name for name in sorted(sections) if not re.search(rf"^## .*`{name}`", PAGE, re.MULTILINE)
    ] == []


def test_the_reserved_names_are_those_refused() -> None:
    """Every beginning that no list may have is on the page."""
    assert [prefix for prefix in RESERVED_PREFIXES if f"`{prefix}`" not in PAGE] == []


@pytest.mark.parametrize(
    ("where", "default"),
    [
        (r"\| `retries` \| links \|.*\| (\d+) \|", LinkStep("x", None).retries),
        (r"\| `retries` \| storages \|.*\| (\d+) \|", StorageSpec("x", "y").retries),
        (r"\| `max_attempts` \|.*\| (\d+) \|", Chain("x").max_attempts),
    ],
)
def test_the_defaults_are_those_used(where: str, default: int) -> None:
    """The defaults in the tables are the code's."""
    assert re.findall(where, PAGE) == [str(default)]
