"""Importing libraries without the optional parts that they look for and this service does not use.

A library that finds another package installed may import all of it: `structlog` the terminal
output of `rich`, `redis` the metrics of OpenTelemetry, `httpx` a command line. That is a quarter of
the time that a worker takes to start.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Make the import of these packages fail inside, except for those that are imported already.

    Only for libraries that catch this `ImportError`. For imports at the start, while there is one
    thread.
    """
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not importable
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)
