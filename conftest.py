"""Tests of plugins in this checkout import vcon-server's names and `vcon` as the service can."""

import os

import pytest

from lib import vcon_library
from lib.vcon_server import aliases

aliases.install()
vcon_library.prepare()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores, since much of the suite is waiting for processes and events."""
    return (os.cpu_count() or 1) + 1
