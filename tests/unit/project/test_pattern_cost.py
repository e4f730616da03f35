"""No pattern of the service takes more than linear time: twice the text, twice the steps."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import pytest

from tests.unit.project.counting_matcher import CountingMatcher
from tests.unit.support.source_files import SERVICE, Source, service

COMPILES = {
    "compile",
    "match",
    "search",
    "fullmatch",
    "sub",
    "subn",
    "split",
    "findall",
    "finditer",
}
FROM_THE_START = {"match", "fullmatch"}
MADE_AT_RUN_TIME = {"core/observability/redaction.py": 1}
"""Calls that compile a pattern which is no constant: known secrets, and a file's name, escaped."""

SIZE = 100
"""Characters of a text; the other has twice as many."""
MOST_PIECES = 12
MOST_PAIRED = 4


class Use(NamedTuple):
    """A pattern, and how it is used: `match`, `fullmatch`, or `search` for all that scan."""

    place: str
    pattern: re.Pattern[Any]
    way: str


def calls(source: Source) -> Iterator[ast.Call]:
    """Every call of a function of `re` that is given a pattern."""
    for node in source.nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr in COMPILES
        ):
            yield node


def constants(source: Source) -> dict[str, re.Pattern[Any]]:
    """The compiled patterns that are names of the module."""
    found = vars(import_module(source.module))
    assigned = {
        target.id
        for node in source.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    return {name: found[name] for name in assigned if isinstance(found.get(name), re.Pattern)}


def ways(sources: list[Source], name: str) -> set[str]:
    """How a pattern of this name is used in these files."""
    used = {
        node.attr
        for source in sources
        for node in source.nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        and node.attr in COMPILES
    }
    return {way if way in FROM_THE_START else "search" for way in used} or {"search"}


def literal(call: ast.Call) -> re.Pattern[Any] | None:
    """The pattern that stands in the call itself."""
    given = call.args[0]
    return re.compile(given.value) if isinstance(given, ast.Constant) else None


@cache
def uses(path: str) -> list[Use]:
    """Every pattern of a file with each way in which it is used."""
    [source] = (source for source in service() if source.path == path)
    found = [
        Use(f"{path}:{name}:{way}", pattern, way)
        for name, pattern in constants(source).items()
        for way in ways([source], name)
    ]
    for call in calls(source):
        attribute = call.func
        assert isinstance(attribute, ast.Attribute)
        pattern_here = literal(call)
        if attribute.attr != "compile" and pattern_here is not None:
            way = attribute.attr if attribute.attr in FROM_THE_START else "search"
            found.append(Use(f"{path}:{call.lineno}:{way}", pattern_here, way))
    return sorted(found)


PATTERNED = [
    source.path
    for source in service()
    if source.room in SERVICE and re.search(rf"\bre\.(?:{'|'.join(COMPILES)})\(", source.text)
]
"""Found in the text: files are parsed, and imported, only in the tests."""
each_file = pytest.mark.parametrize("path", PATTERNED)


def texts(pieces: list[str], size: int) -> Iterator[str]:
    """About so many characters: pieces, one or two of them, repeated; the end fits or does not."""
    for first in pieces:
        for end in ("", "\0"):
            yield _filled(first, size) + end
        for second in pieces[:MOST_PAIRED]:
            yield first + _filled(second, size) + "\0"
            yield _filled(first + second, size) + "\0"


def _filled(piece: str, size: int) -> str:
    return piece * (size // len(piece) + 1)


def steps(use: Use, text: str, matcher: CountingMatcher) -> int:
    """How many steps the pattern takes on a text, used as it is used."""
    before = matcher.steps
    if use.way == "search":
        matcher.spans(text)
    else:
        matcher.matches(text, whole=use.way == "fullmatch")
    return matcher.steps - before


@pytest.fixture(autouse=True)
def deep_enough() -> Iterator[None]:
    """The matcher calls itself for each step."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


def test_every_pattern_is_known() -> None:
    """A pattern stands at the top of its file, or as text in the call: else none could test it."""
    unknown: dict[str, int] = {}
    for source in service():
        at_the_top = sum(
            isinstance(node, ast.Assign | ast.AnnAssign)
            for node in source.tree.body
            for call in calls(source)
            if getattr(node, "value", None) is call
        )
        others = [call for call in calls(source) if not isinstance(call.args[0], ast.Constant)]
        compiled = sum(
            isinstance(call.args[0], ast.Constant) and call.func.attr == "compile"
            for call in calls(source)
            if isinstance(call.func, ast.Attribute)
        )
        if (inside := len(others) + compiled - at_the_top) > 0:
            unknown[source.path] = inside
    assert unknown == MADE_AT_RUN_TIME
    used = {source.path for source in service() if source.room in SERVICE and any(calls(source))}
    assert used == set(PATTERNED)


@each_file
def test_twice_the_text_takes_twice_the_steps(path: str) -> None:
    """For the texts that its own elements suggest."""
    for use in uses(path):
        matcher = CountingMatcher(use.pattern)
        pieces = matcher.pieces()[:MOST_PIECES]
        for once, twice in zip(texts(pieces, SIZE), texts(pieces, 2 * SIZE), strict=True):
            few = steps(use, once, matcher)  # four times would be quadratic
            assert steps(use, twice, matcher) <= 3 * few + 60, (use.place, once[:200])


@each_file
def test_the_counting_matcher_finds_what_the_library_finds(path: str) -> None:
    """Else its steps would say nothing; without the limits that it takes for endless."""
    for use in uses(path):
        matcher = CountingMatcher(use.pattern)
        for text in texts(matcher.pieces()[:3], 20):
            given = text.encode("latin-1") if isinstance(use.pattern.pattern, bytes) else text
            if use.way == "search":
                found = [each.span() for each in use.pattern.finditer(given)]
                assert matcher.spans(text) == found, (use.place, text)
            else:
                found_it = getattr(use.pattern, use.way)(given) is not None
                whole = use.way == "fullmatch"
                assert matcher.matches(text, whole=whole) == found_it, (use.place, text)


@pytest.mark.parametrize(
    "slow", [r"a*a*b", r"://[^/?#\s:@]*:(\S+)@", r"(://)[^\s\"']{0,2000}@", r"x.*?y"]
)
def test_a_pattern_that_backtracks_is_seen(slow: str) -> None:
    """The search for such patterns finds those that it is there for."""
    matcher = CountingMatcher(re.compile(slow))
    use = Use("slow", re.compile(slow), "search")
    size = SIZE // 4  # enough to see it; the steps of some grow with the cube of the length
    pairs = zip(texts(matcher.pieces(), size), texts(matcher.pieces(), 2 * size), strict=True)
    assert any(
        steps(use, twice, matcher) > 2.5 * steps(use, once, matcher) + 60 for once, twice in pairs
    )
