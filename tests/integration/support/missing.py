"""What becomes of a test whose server is not on this machine."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test; where `CI` is set it fails, so that a whole run is a whole run."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
