"""Libraries are imported without what they would import beside."""

import subprocess
import sys

import pytest

from core.optional_parts import without
from tests.unit.support.source_files import ROOT

START = {
    "worker": ("app.cli, app.bootstrap_worker", {"rich", "pygments", "httpx", "sqlalchemy"}),
    "service": ("app.cli, app.bootstrap", {"rich", "pygments", "httpx", "alembic", "starlette"}),
}


@pytest.mark.parametrize("process", START)
def test_a_start_imports_no_library_that_it_does_not_need(process: str) -> None:
    """Each of them takes a tenth of the start or more."""
    modules, never = START[process]
    shown = f"import sys, {modules}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, capture_output=True, check=True)
    assert not never & set(done.stdout.decode().split())


def test_a_hidden_package_can_be_imported_afterwards() -> None:
    """It is hidden inside only, and not at all where it is imported already."""
    sys.modules.pop("this", None)
    with without("this", "json"):
        import json

        with pytest.raises(ImportError):
            import this  # noqa: F401
    assert json is sys.modules["json"]
    assert "this" not in sys.modules
