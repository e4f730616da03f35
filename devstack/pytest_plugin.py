"""The fixture `guest_bench`: `pytest_plugins = ["devstack.pytest_plugin"]` in a `conftest.py`."""

from collections.abc import Iterator

import pytest

from devstack.testing import GuestBench


@pytest.fixture(scope="session")
def guest_bench() -> Iterator[GuestBench]:
    """Runs single plugins on single vCons; see `devstack.testing`."""
    with GuestBench() as bench:
        yield bench
