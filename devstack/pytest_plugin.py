"""The fixture `plugin_bench`: `pytest_plugins = ["devstack.pytest_plugin"]` in a `conftest.py`."""

from collections.abc import Iterator

import pytest

from devstack.testing import PluginBench


@pytest.fixture(scope="session")
def plugin_bench() -> Iterator[PluginBench]:
    """Runs single plugins on single vCons; see `devstack.testing`."""
    with PluginBench() as bench:
        yield bench


@pytest.fixture(scope="session")
def guest_bench(plugin_bench: PluginBench) -> PluginBench:
    """The former name of `plugin_bench`."""
    return plugin_bench
