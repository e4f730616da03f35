"""The embedded stack starts whole or not at all, and never outlives its owner."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from devstack.errors import StackError
from devstack.servers import folders, postgres
from devstack.servers.folders import remove_abandoned
from devstack.servers.stack import EmbeddedStack
from devstack.servers.valkey import Valkey
from devstack.supply import packages
from tests.integration.support.processes import processes_under, wait_until_ended

pytestmark = pytest.mark.executed  # servers with their keepers

CHECKOUT = Path(__file__).resolve().parents[3]

# Owns a stack until it is killed; says where everything is.
OWNER = """
import json, pathlib, signal, sys
from devstack.servers.stack import EmbeddedStack
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in the background
with EmbeddedStack(pathlib.Path(sys.argv[1]), fsync=False) as stack:
    print(json.dumps([stack.postgres.pid, stack.valkey.pid]), flush=True)
    signal.pause()
"""


def test_a_stack_runs_and_goes() -> None:
    """Both servers answer inside the context; afterwards no process and no folder is left."""
    with EmbeddedStack(fsync=False) as stack:
        environment = stack.environment("postgres")
        with psycopg.connect(stack.postgres.url()), Redis.from_url(stack.valkey.url) as client:
            assert client.ping()
    assert environment["REDIS_URL"] == stack.valkey.url
    assert environment["POSTGRES_PORT"] == str(stack.postgres.port)
    assert not processes_under(stack.folder)
    assert not stack.folder.exists()


def test_a_stack_that_cannot_start_whole_leaves_nothing(
    used_stack_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one server does not start, the error tells in one line, and the other is stopped."""
    monkeypatch.setitem(postgres.SETTINGS, "max_connections", "many")
    with pytest.raises(StackError, match=r"postgres did not start.*max_connections") as failed:
        EmbeddedStack(used_stack_folder).__enter__()
    assert "\n" not in str(failed.value)
    assert not processes_under(used_stack_folder)


def test_a_folder_that_cannot_be_made_is_named(reachable_folder: Path) -> None:
    """A stack on an impossible folder fails with a line that names the folder."""
    (reachable_folder / "file").touch()
    with pytest.raises(StackError, match=r"no servers can run in .*/file"):
        EmbeddedStack(reachable_folder / "file").__enter__()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_servers_end_with_their_owner(used_stack_folder: Path, end: signal.Signals) -> None:
    """However the owner ends, `kill -9` included, both servers end too."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, used_stack_folder],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert owner.stdout is not None
    servers = json.loads(owner.stdout.readline())
    owner.send_signal(end)
    owner.communicate()
    for pid in servers:
        wait_until_ended(pid)


def test_servers_end_with_their_keepers(reachable_folder: Path) -> None:
    """Should the keeper itself be killed, the kernel ends the server."""
    server = Valkey.start(reachable_folder)
    keeper = int(Path(f"/proc/{server.pid}/stat").read_text().split()[3])
    os.kill(keeper, signal.SIGKILL)
    wait_until_ended(server.pid)
    server.stop()


def test_a_missing_package_is_named() -> None:
    """Without the embedded stack's packages the error says how to get them."""
    with pytest.raises(StackError, match="no_such_package is missing: start with `make demo`"):
        packages.package_folder("no_such_package")


def test_abandoned_folders_are_removed(tmp_path: Path) -> None:
    """What a killed owner left behind is removed by the next; what is owned or foreign stays."""
    for name in ("patchcord-left", "patchcord-owned", "patchcord-unmarked", "other"):
        (tmp_path / name).mkdir()
    for name in ("patchcord-left", "patchcord-owned", "other"):
        (tmp_path / name / folders.OWNER).touch()
    with folders.claimed(tmp_path / "patchcord-owned", folders.OWNER):
        remove_abandoned(tmp_path, seconds=3600)
        assert (tmp_path / "patchcord-left").exists()
        remove_abandoned(tmp_path, seconds=0)
    left = sorted(entry.name for entry in tmp_path.iterdir())
    assert left == ["other", "patchcord-owned", "patchcord-unmarked"]


def test_temporary_folders_are_private(reachable_folder: Path) -> None:
    """Others may pass through a temporary folder at most; only its owner lists or writes it."""
    assert stat.S_IMODE(reachable_folder.stat().st_mode) & 0o066 == 0
