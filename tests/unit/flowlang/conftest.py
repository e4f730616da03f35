"""Fixtures that run flows over the small plugin of these tests."""

from pathlib import Path

import pytest

from flowlang.connections import ConnectionPluginRegistry
from tests.unit.support.flowlang_plugins import Run, parcels, runner


@pytest.fixture
def registry(tmp_path: Path) -> ConnectionPluginRegistry:
    """One that knows parcels alone."""
    return parcels(tmp_path)


@pytest.fixture
def run(registry: ConnectionPluginRegistry, tmp_path: Path) -> Run:
    """Runs steps, given as YAML."""
    return runner(registry, tmp_path)
