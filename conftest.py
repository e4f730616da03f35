"""Tests of plugins in this checkout import vcon-server's names and `vcon` as the service can."""

import gc
import os
from collections.abc import Generator

import pytest

from lib import vcon_library
from lib.vcon_server import aliases

aliases.install()
vcon_library.prepare()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores, since much of the suite is waiting for processes and events."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage in nothing that is collected: it stays to the end, in every process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
