"""Each command that a cause of `status` tells is one that the command line has."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from app.command_line import read
from pipeline.operator.numbers.banner import COMMAND, causes_of
from tests.unit.operator.test_banner import CASES, WELL

DOCS = Path(__file__).parents[3] / "docs"


def commands() -> list[str]:
    """The command of each cause, once."""
    found = (causes_of(replace(WELL, **changes)) for _, _, changes, _ in CASES)
    return sorted({cause.command for causes in found for cause in causes})


@pytest.mark.parametrize("line", [each for each in commands() if each.startswith(COMMAND)])
def test_the_command_exists(line: str) -> None:
    """With these arguments."""
    read(shlex.split(line.removeprefix(COMMAND)))


@pytest.mark.parametrize("place", [each for each in commands() if each.startswith("docs/")])
def test_the_section_exists(place: str) -> None:
    """A page and a heading in it."""
    page, _, anchor = place.removeprefix("docs/").partition("#")
    headings = re.findall(r"^#+ (.*)$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in [each.lower().replace(" ", "-") for each in headings]
