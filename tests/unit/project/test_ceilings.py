"""No test gives up after a time that a busy machine may need."""

from __future__ import annotations

import ast
import re

from tests.unit.support.source_files import ROOT

LEAST = 30
"""Seconds: nothing in the suite takes so long at one place, also beside several other processes."""
NAMES = re.compile(r"(PATIENCE|CEILING|CEILING_SECONDS|DONE_SECONDS)")
EXPECTED = "TimeoutError"
BUILDERS = {"link", "storage", "configured", "step_to", "calls.call"}
"""What makes a step or a chain, or calls a plugin; see `tests/time_limits.py`."""
DEFAULTS = {"CALL_SECONDS", "CHAIN_SECONDS"}
MENTIONED = re.compile(rf"\b(timeout(?==)|asyncio\.timeout|{'|'.join(DEFAULTS)}|{NAMES.pattern})\b")
"""Only files with these words are parsed, which takes long."""
BLOCKING = re.compile(r"\.(blpop|brpop|blmove|bzpopmin|bzpopmax)\b")
SHARED = "tests/integration/support/pipeline_fixtures.py"
"""Has a client by which tests of other files wait."""


def texts_of_tests() -> dict[str, str]:
    """Each file of the tests by its path."""
    files = sorted((ROOT / "tests").rglob("*.py"))
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}


def short(tree: ast.Module) -> list[ast.AST]:
    """Constants of such names, and literal timeouts, that are too short; but for expected ones."""
    expected = {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, ast.With) and EXPECTED in ast.unparse(outer.items[0])
        for inner in ast.walk(outer)
    }
    found = []
    for node in set(ast.walk(tree)) - expected:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=seconds)):
                is_ceiling = NAMES.fullmatch(name) is not None
            case ast.Call(args=[ast.Constant(value=seconds)]):
                is_ceiling = ast.unparse(node.func) == "asyncio.timeout" and seconds is not None
            case ast.Call() if (limit := limit_of_a_plugin(node)) is not None:
                is_ceiling, seconds = True, limit
            case _:
                continue
        if is_ceiling and seconds < LEAST:
            found.append(node)
    return found


def limit_of_a_plugin(call: ast.Call) -> float | None:
    """The seconds that a chain or the call of a plugin gets as a literal."""
    timeouts = [word.value for word in call.keywords if word.arg == "timeout"]
    values = timeouts if timeouts and ast.unparse(call.func) in BUILDERS else []
    match call.args:
        case [_, ast.Constant(value=str(what)), value] if what in DEFAULTS:
            values.append(value)
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, int | float):
            return value.value
    return None


def test_every_ceiling_is_high() -> None:
    """It is reached only when something is broken, however busy the machine is."""
    texts = texts_of_tests()
    trees = {name: ast.parse(text) for name, text in texts.items() if MENTIONED.search(text)}
    assert {name: found for name, tree in trees.items() if (found := lines(tree))} == {}


def test_a_client_that_waits_for_an_entry_waits_as_long() -> None:
    """Where a test sets no `socket_timeout`, redis-py ends its blocking command after 5 s."""
    texts = texts_of_tests()
    waiting = {name for name, text in texts.items() if BLOCKING.search(text)} | {SHARED}
    found = {name: impatient(ast.parse(texts[name])) for name in waiting}
    assert len(waiting) > 10
    assert {name: places for name, places in found.items() if places} == {}


def impatient(tree: ast.Module) -> list[int]:
    """The lines where a client of Redis is made that gives up after 5 s."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = [call for call in calls if ast.unparse(call.func) == "Redis.from_url"]
    return [call.lineno for call in made if "socket_timeout" not in {k.arg for k in call.keywords}]


def lines(tree: ast.Module) -> list[int]:
    """The lines of what is too short."""
    return sorted(each.lineno for each in short(tree) if isinstance(each, ast.stmt | ast.expr))


def test_a_low_ceiling_is_found_unless_it_is_to_be_reached() -> None:
    """As a constant and at its place."""
    text = """
PATIENCE = 5.0
async def test():
    async with asyncio.timeout(1):
        pass
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            pass
    async with asyncio.timeout(60), asyncio.timeout(None):
        pass
    configured(links=[link(hangs, timeout=0.05)], timeout=None)
    monkeypatch.setattr(model, "CALL_SECONDS", 0.1)
    configured(links=[link(hangs, timeout=HOUR)], timeout=60)
    asked(timeout=0.05)
"""
    assert lines(ast.parse(text)) == [2, 4, 11, 12]
