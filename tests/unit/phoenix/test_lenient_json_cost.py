"""The slow reader takes memory and steps in proportion to a text, of any shape."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from core.phoenix import lenient_json
from tests.unit.support.source_files import ROOT

HALF = r'"\ud800"'
SHAPES: dict[str, Callable[[int], str]] = {
    "empty lists": lambda size: "[" + "[]," * (size // 3) + HALF + "]",
    "numbers": lambda size: "[" + "0," * (size // 2) + HALF + "]",
    "long integers": lambda size: "[" + "12345678901234567890123," * (size // 24) + "1]",
    "one long integer": lambda size: "-" + "9" * size,
    "one long fraction": lambda size: f"[0.{'3' * size}, {HALF}]",
    "one long exponent": lambda size: f"[1e{'9' * size}, {HALF}]",
    "many names": lambda size: (
        "{" + ",".join(f'"k{n}":{{}}' for n in range(size // 12)) + f',"x":{HALF}}}'
    ),
    "one long name": lambda size: f'{{"{"k" * size}": {{"a": [{"0," * 99}{HALF}]}}}}',
    "long names within long names": lambda size: (
        f'{{"{"k" * (size // 200)}":' * 200 + HALF + "}" * 200
    ),
    "wide below a long name": lambda size: f'{{"{"k" * 185}": [{"0," * (size // 2)}{HALF}]}}',
    "escapes": lambda size: f'["{chr(92)}n{(chr(92) + "u00e9") * (size // 6)}", {HALF}]',
    "half surrogates": lambda size: "[" + ",".join([HALF] * (size // 9)) + "]",
    "a text of half surrogates": lambda size: f'["{(chr(92) + "ud800") * (size // 6)}"]',
    "deep lists": lambda size: "[" * (size // 2) + "]" * (size // 2),
    "deep objects without a name": lambda size: '{"":' * (size // 5) + "1" + "}" * (size // 5),
    "deep, then wide": lambda size: "[" * 250 + "0," * (size // 2) + HALF + "]" * 250,
    "wide, and deep each time": lambda size: (
        "[" + ",".join(["[" * 240 + "]" * 240] * (size // 481)) + f",{HALF}]"
    ),
    "brackets in a text": lambda size: f'["{"[" * size}", {HALF}]',
    "brackets that do not close": lambda size: "[" * size,
    "a text that does not close": lambda size: f'["{chr(92) * 2 * (size // 2)}',
    "white space": lambda size: f"[{' ' * size}{HALF}]",
}
"""Values of about so many bytes that the quick reader does not take."""

MEMORY_SIZE = 1_000_000
MEMORY = 100_000_000
"""Bytes that reading each may add to a process; a place for each value would take 180 MB."""


def message(fields: str) -> str:
    """A V2 message, as text, with these fields."""
    return f'[null, null, "s", "request", {{"action": "A", "fields": {fields}, "ref": "r"}}]'


def read(fields: str) -> None:
    """Read it, whether it can be read or not."""
    with contextlib.suppress(ValueError):
        lenient_json.loads(message(fields))


def lines_run(fields: str) -> int:
    """How many lines of the reader's files are run for them."""
    count, files = 0, {lenient_json.__file__, lenient_json.__file__}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in files:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        read(fields)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_twice_the_text_takes_twice_the_steps(shape: str) -> None:
    """At most about one step for each byte, for each shape."""
    size = 8_000
    once, twice = lines_run(SHAPES[shape](size)), lines_run(SHAPES[shape](2 * size))
    assert twice <= 2.1 * once + 200
    assert twice <= 2 * size * 12


UNDER_A_LIMIT = """
import resource
from tests.unit.phoenix.test_lenient_json_cost import MEMORY, MEMORY_SIZE, SHAPES, read

texts = {name: shape(MEMORY_SIZE) for name, shape in SHAPES.items()}
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
for name, text in texts.items():
    print(name, flush=True)
    read(text)
"""


def test_the_memory_is_bounded_by_the_size_of_the_text() -> None:
    """A process that may have so much more memory reads each of the shapes."""
    done = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == list(SHAPES), done.stderr[-1000:]
    assert done.returncode == 0, done.stderr[-1000:]
