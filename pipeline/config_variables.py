"""The variables that the text of a configuration or of a flow names, found without reading it."""

import contextlib
import re
from pathlib import Path

_NAMED = re.compile(rb"\$\{(?:env\.)?([A-Za-z_][A-Za-z0-9_]*)(?=\}|:-)")


def variables_named_in(content: bytes) -> frozenset[str]:
    """Every NAME of `${NAME}`, `${env.NAME}` and `${NAME:-text}` in a file."""
    return frozenset(name.decode() for name in _NAMED.findall(content))


def variables_of_flows(folder: Path) -> frozenset[str]:
    """The variables that the flows in a folder name, as they are now."""
    found: frozenset[str] = frozenset()
    for path in (*folder.glob("**/*.yml"), *folder.glob("**/*.yaml")):
        with contextlib.suppress(OSError):  # it is told of when it is run
            found |= variables_named_in(path.read_bytes())
    return found
