"""The variables that the text of a configuration or of a flow names, found without reading it."""

import re

_NAMED = re.compile(rb"\$\{(?:env\.)?([A-Za-z_][A-Za-z0-9_]*)(?=\}|:-)")


def variables_named_in(content: bytes) -> frozenset[str]:
    """Every NAME of `${NAME}`, `${env.NAME}` and `${NAME:-text}` in a file."""
    return frozenset(name.decode() for name in _NAMED.findall(content))
