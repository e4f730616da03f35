"""Tests as the documents write them, run as the documents run them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.plugins.scene import PLUGINS
from tests.unit.support.source_files import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")

OF_A_STORAGE = """
import json
from unittest.mock import MagicMock, patch

import pytest


def test_a_vcon_is_written_as_json():
    vcon = MagicMock()
    vcon.to_dict.return_value = {"uuid": "u-1"}
    with patch("server.storage.my_storage.VconRedis") as redis, patch("os.makedirs"):
        redis.return_value.get_vcon.return_value = vcon
        with patch("server.storage.my_storage.json.dump") as dump, patch("builtins.open"):
            from server.storage.my_storage import save

            save("u-1", {"path": "/tmp/nowhere"})
    assert dump.call_args.args[0] == {"uuid": "u-1"}


def test_a_vcon_that_is_not_there():
    from server.lib.vcon_redis import VconRedis
    from server.storage.my_storage import get

    assert VconRedis
    assert get("u-1", {"path": "/nonexistent"}) is None


@pytest.mark.integration
def test_a_mark_that_the_guide_uses():
    assert json
"""


OF_A_LINK = """
import vcon


def test_a_vcon_is_made_by_hand():
    made = vcon.Vcon({"uuid": "test-uuid-123", "vcon": "0.0.1", "parties": [], "dialog": []})
    assert made.uuid == "test-uuid-123"
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What a Python command prints in a folder, with this checkout on its path.

    Without what the variables of pytest add to this run, whose plugins may not be on that path.
    """
    environ = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_storages_own_tests_pass_where_the_guide_puts_them(tmp_path: Path) -> None:
    """In `server/storage/NAME/tests`, with `server.lib` and `server.storage` to import."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    storage = tmp_path / "server" / "storage" / "my_storage"
    shutil.copytree(PLUGINS / "storages" / "storage" / "my_storage", storage)
    (storage / "tests").mkdir()
    (storage / "tests" / "__init__.py").touch()
    (storage / "tests" / "test_my_storage.py").write_text(OF_A_STORAGE)
    done = run(
        tmp_path, "-m", "pytest", "server/storage/my_storage/tests", "-p", "no:cacheprovider"
    )
    assert (done.returncode, "3 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_links_own_tests_may_begin_with_the_vcon_library(tmp_path: Path) -> None:
    """Before anything of ours is imported: also without the packages that it names needlessly."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_link.py").write_text(OF_A_LINK)
    done = run(tmp_path, "-m", "pytest", "tests", "-p", "no:cacheprovider")
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_suite_is_run_as_a_module() -> None:
    """`python -m tests` is all of it, or the part that is named."""
    done = run(ROOT, "-m", "tests", "tests/unit/config/test_lists.py", "-p", "no:cacheprovider")
    assert (done.returncode, " passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_action_of_the_readme_is_found_and_runs(tmp_path: Path) -> None:
    """Pasted into a file as it stands."""
    [action] = re.findall(r"```python\n(\"\"\"actions/greet.py.*?)```", README, re.DOTALL)
    (tmp_path / "pasted").mkdir()
    (tmp_path / "pasted" / "__init__.py").touch()
    (tmp_path / "pasted" / "greet.py").write_text(action)
    code = """
import asyncio
from core.action_registry import ActionRegistry
print(asyncio.run(ActionRegistry.discover("pasted")["Greet"](name="Ann").run(None, None)).fields)
"""
    done = run(tmp_path, "-c", code)
    assert (done.stdout, done.stderr) == ("{'greeting': 'Hello, Ann'}\n", "")


def test_a_new_revision_gets_a_number_that_is_free() -> None:
    """The command in the documents would otherwise be refused."""
    page = (ROOT / "docs" / "data-model.md").read_text()
    [number] = re.findall(r"--rev-id (\d{4})", page)
    taken = {path.name[:4] for path in (ROOT / "alembic" / "versions").glob("[0-9]*.py")}
    assert number not in taken


def test_commands_of_the_documents_name_the_environment_that_they_need() -> None:
    """A newcomer's `python` has none of the libraries."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    blocks = [
        (page.name, line)
        for page in pages
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(blocks) > 20
    bare = re.compile(r"(python|pytest|alembic|mypy|ruff)\b")
    assert [(name, line) for name, line in blocks if bare.match(line)] == []
