"""The log calls of the service's files, read once in each process that runs tests of them."""

from functools import cache

from devstack.pages.log_calls import File, LogCall, log_calls
from tests.unit.support.source_files import service


@cache
def logged() -> tuple[LogCall, ...]:
    """All calls; only in a test, as every process collects all tests."""
    return tuple(log_calls([File(s.path, s.tree) for s in service() if s.room != "alembic"]))
