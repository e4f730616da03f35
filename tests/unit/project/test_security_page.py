"""docs/security.md: each row has a test, and what it names exists."""

import re
from functools import cache

import pytest

from tests.unit.support.source_files import ROOT, sources

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [
    line
    for line in PAGE.splitlines()
    if line.startswith("| ") and not re.match(r"\| (tried|where) \|", line)
]
SETTINGS = re.findall(
    r"^\| `([A-Z_0-9]+)`", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"), re.MULTILINE
)
NO_SETTINGS = {"ATTACH", "NAME", "REDIS_PASSWORD"}
"""A statement of SQL, what stands for any variable, and a variable of docker-compose.yml."""
DEFINED = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def named(pattern: str) -> set[str]:
    """What the tables name in code quotes, if it looks like this."""
    return {
        word
        for row in ROWS
        for word in re.findall(r"`([^`]+)`", row)
        if re.fullmatch(pattern, word) and not word.startswith("test_")
    }


@cache
def defined_tests() -> set[tuple[str, str]]:
    """Every test, as the name of its file and its own."""
    return {
        (path.name, test)
        for path in (ROOT / "tests").rglob("test_*.py")
        for test in DEFINED.findall(path.read_text(encoding="utf-8"))
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:60])
def test_every_row_names_a_test_that_exists(row: str) -> None:
    """In its last column, with its file and its name."""
    tests = TEST.findall(row.rstrip("| ").rpartition(" | ")[2])
    assert tests
    for named_test in tests:
        assert named_test in defined_tests(), "::".join(named_test)
    assert not re.search(r"`test_\w+\.py`", row)


def test_every_setting_exists() -> None:
    """Those of the service stand in docs/settings.md."""
    wanted = {word.partition("=")[0] for word in named(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*(=\w+)?")}
    assert len(wanted) >= 20
    assert wanted - NO_SETTINGS <= set(SETTINGS)


def test_every_option_exists() -> None:
    """Those of plugins, connections, chains and keys stand in the code that takes them."""
    files = [source.path for source in sources() if not source.path.startswith("tests/")]
    code = "".join((ROOT / path).read_text(encoding="utf-8") for path in files)
    code += (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    options = {word.partition(":")[0] for word in named(r"[a-z]+(_[a-z]+)+(: \w+)?")}
    assert len(options) >= 8
    assert [option for option in options if not re.search(rf"\b{option}\b", code)] == []
