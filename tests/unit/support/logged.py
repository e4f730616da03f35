"""The log calls of the service's files, read once in each process that runs tests of them."""

from functools import cache

from devstack.pages.log_calls import LogCall, log_calls


@cache
def logged() -> tuple[LogCall, ...]:
    """All calls; only in a test, as every process collects all tests."""
    return tuple(log_calls())
