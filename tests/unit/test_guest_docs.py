"""docs/guests.md says of every built-in guest's options what is true."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

PAGE = (Path(__file__).parents[2] / "docs" / "guests.md").read_text()
GUESTS = ("links.tag", "links.webhook", "storage.file", "storage.postgres")


def documented(name: str) -> dict[str, object]:
    """The options of a guest with their defaults, read as YAML reads them."""
    section = PAGE.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
    table = section.partition("| option | default | meaning |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]*)` \|", table, re.MULTILINE)
    values = {option: yaml.safe_load(default) for option, default in rows}
    return {option: _number(value) for option, value in values.items()}


def _number(value: object) -> object:
    return int(value, 8) if isinstance(value, str) and value.startswith("0o") else value


@pytest.mark.parametrize("name", GUESTS)
def test_every_option_is_listed_with_its_default(name: str) -> None:
    """No more and no fewer, in the order of the module."""
    defaults = importlib.import_module(name).default_options
    assert list(documented(name).items()) == list(defaults.items())


def test_every_built_in_guest_has_its_section() -> None:
    """In the order in which they are read."""
    sections = re.findall(r"^## `([^`]+)`$", PAGE, re.MULTILINE)
    assert tuple(sections) == GUESTS


@pytest.mark.parametrize("name", GUESTS)
def test_every_option_is_named_in_the_modules_own_words(name: str) -> None:
    """Whoever reads the module need not look for the page."""
    module = importlib.import_module(name)
    assert all(f"`{option}`" in module.__doc__ for option in module.default_options)
