"""No test decides by what a clock has told: a busy machine needs ten times as long, or stops."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.unit.support.source_files import ROOT

CLOCK = re.compile(
    r"(time\.(monotonic|perf_counter|process_time|thread_time|time)(_ns)?"
    r"|resource\.getrusage|loop\.time|asyncio\.get_running_loop\(\)\.time)"
)
MEMORY = {
    "tests/integration/links/test_link_jq.py",
    "tests/integration/flowlang/test_flowlang_bounds.py",
}
"""Files that ask `getrusage` for memory, of which a slow machine needs no more."""


def tells_time(node: ast.AST, names: set[str]) -> bool:
    """Whether an expression reads a clock, or has one of these variables."""
    return any(
        (isinstance(each, ast.Name) and each.id in names)
        or (isinstance(each, ast.Call) and CLOCK.fullmatch(ast.unparse(each.func)) is not None)
        for each in ast.walk(node)
    )


def upper_bounds(tree: ast.Module) -> Iterator[int]:
    """Lines of assertions that a time is shorter than what is none."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for function in (each for each in ast.walk(tree) if isinstance(each, functions)):
        times: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and tells_time(node.value, times):
                times |= {each.id for each in node.targets if isinstance(each, ast.Name)}
        for node in ast.walk(function):
            match node:
                case ast.Assert(
                    test=ast.Compare(left=short, ops=[ast.Lt() | ast.LtE()], comparators=[long])
                ):
                    pass
                case ast.Assert(
                    test=ast.Compare(left=long, ops=[ast.Gt() | ast.GtE()], comparators=[short])
                ):
                    pass
                case _:
                    continue
            if tells_time(short, times) and not tells_time(long, times):
                yield node.lineno


def test_no_time_has_an_upper_bound() -> None:
    """Count, wait for an event, or compare with a floor of the same moment."""
    found = {}
    for file in sorted((ROOT / "tests").rglob("*.py")):
        name, text = str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")
        if name not in MEMORY and CLOCK.search(text):
            found[name] = sorted(upper_bounds(ast.parse(text)))
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_an_upper_bound_is_found() -> None:
    """Directly, and of a variable; lower bounds are none, nor are comparisons of two times."""
    text = """
async def test():
    began = time.monotonic()
    assert time.monotonic() - began < 2
    took = time.perf_counter() - began
    assert 0.5 > took
    assert took > 0.3
    assert loop.time() >= began + 0.5
    assert took < floor - began
    assert len(asked) < 4
"""
    assert list(upper_bounds(ast.parse(text))) == [4, 6]
