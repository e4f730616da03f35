"""Which processes see the service's own secrets, and whether a crash writes memory to the disk."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.environment import environment, give_back, inherited_environment, withhold
from core.errors import ConfigurationError
from devstack.deployment import Deployment
from pipeline.live_config import Snapshot
from tests.canaries import canary
from tests.integration.support.pipeline_fixtures import a_vcon

pytestmark = pytest.mark.executed  # what the kernel shows of a process's environment

ROOT = Path(__file__).parents[3]
NAMES = ("TOKEN", "POSTGRES_PASSWORD", "CONSERVER_API_TOKEN", "CONSOLE_PASSWORD")
LOOKING = """
import json, os, resource, subprocess, sys
from pathlib import Path

def seen():
    child = [sys.executable, "-c", "import os, json; print(json.dumps(sorted(os.environ)))"]
    kernel = Path("/proc/self/environ").read_bytes().decode(errors="replace")
    return {
        "own": sorted(os.environ),
        "child": json.loads(subprocess.run(child, capture_output=True, check=True).stdout),
        "kernel": sorted(each.partition("=")[0] for each in kernel.split("\\0")),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
    }

def run(vcon_uuid, link_name, opts):
    Path(opts["file"]).write_text(json.dumps(seen()))
    return vcon_uuid

def save(vcon_uuid, opts):
    pass

def get(vcon_uuid, opts):
    Path(opts["file"]).write_text(json.dumps(seen()))
    return None
"""


def configured(folder: Path, more: str) -> Path:
    """A chain whose link and storage write down what they see; `more` is an option of the link."""
    (folder / "looking_plugin.py").write_text(LOOKING)
    options = {"file": str(folder / "link"), "more": more}
    stored = {"module": "looking_plugin", "options": {"file": str(folder / "storage")}}
    chain = {"links": ["look"], "storages": ["shelf"], "ingress_lists": ["in"]}
    document = {
        "links": {"look": {"module": "looking_plugin", "options": options}},
        "storages": {"shelf": stored},
        "chains": {"main": chain},
    }
    (path := folder / "config.yml").write_text(json.dumps(document))
    return path


@asynccontextmanager
async def running(folder: Path, more: str) -> AsyncIterator[Deployment]:
    """The whole system."""
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    given = {
        "PYTHONPATH": path,
        "ACTIONS": "IngestVcon,GetVcon",
        "CONSERVER_API_TOKEN": canary("api-token-9a07"),
        "INDEX_SECRET": canary("secret-of-the-index-51be"),
        "CUSTODY": "postgres",  # a worker gets the password, but not in its environment
    }
    password = canary("valkey-password-64ef")
    parts = configured(folder, more)
    async with Deployment(parts, settings=given, valkey_password=password) as system:
        yield system


def wait_for(file: Path) -> None:
    """Return when another process has written it."""
    deadline = time.monotonic() + 60
    while not (file.is_file() and file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def looked(system: Deployment, folder: Path) -> dict[str, Any]:
    """What the link saw in a worker, and the storage in the service."""
    vcon = a_vcon()
    await system.call("IngestVcon", vcon=vcon, ingress_lists=["in"])
    await asyncio.to_thread(wait_for, folder / "link")
    await system.call("GetVcon", vcon_uuid=a_vcon()["uuid"], storage="shelf")
    return {name: json.loads((folder / name).read_text()) for name in ("link", "storage")}


async def test_workers_and_plugins_get_no_secret_that_they_do_not_need(tmp_path: Path) -> None:
    """Not in their own environment, nor in that of what they start; and there are no core dumps."""
    async with running(tmp_path, "nothing") as system:
        seen = await looked(system, tmp_path)
    link, storage = seen["link"], seen["storage"]
    everything = [link["own"], link["child"], link["kernel"], storage["own"], storage["child"]]
    own = {*NAMES, "INDEX_SECRET"}
    assert [given & own for given in map(set, everything)] == [set()] * 5
    assert [link["core"], storage["core"]] == [[0, 0]] * 2


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The service's own secrets, withheld from this process as at a start."""
    values = {name: f"value-of-{name}" for name in NAMES}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    withhold(NAMES)
    yield values
    give_back(NAMES)


@pytest.mark.parametrize(
    "more", ["${POSTGRES_PASSWORD}", "a-${env.POSTGRES_PASSWORD}", "${POSTGRES_PASSWORD:-x}"]
)
def test_what_the_configuration_names_is_given(
    tmp_path: Path, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    """Before the first plugin is imported; only that."""
    monkeypatch.syspath_prepend(tmp_path)
    snapshot = Snapshot(configured(tmp_path, more), environment())
    snapshot.load()
    inherited = inherited_environment()
    snapshot.close()
    assert {name: inherited.get(name) for name in NAMES} == secrets | {
        "TOKEN": None,
        "CONSERVER_API_TOKEN": None,
        "CONSOLE_PASSWORD": None,
    }


def test_what_a_flow_names_is_given(
    tmp_path: Path, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it lies in the folder of flows."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "flows" / "deep").mkdir(parents=True)
    (tmp_path / "flows" / "deep" / "one.yaml").write_text("url: ${env.POSTGRES_PASSWORD}")
    path = configured(tmp_path, "nothing")
    document = json.loads(path.read_text()) | {"flows": {"folder": str(tmp_path / "flows")}}
    path.write_text(json.dumps(document))
    snapshot = Snapshot(path, environment())
    snapshot.load()
    snapshot.close()
    assert inherited_environment().get("POSTGRES_PASSWORD") == secrets["POSTGRES_PASSWORD"]


def test_one_that_is_named_later_needs_a_restart(
    tmp_path: Path, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers run without it: the file is refused and the error says so."""
    monkeypatch.syspath_prepend(tmp_path)
    snapshot = Snapshot(path := configured(tmp_path, "nothing"), environment())
    snapshot.load()
    configured(tmp_path, "${POSTGRES_PASSWORD}")
    with pytest.raises(ConfigurationError, match=r"POSTGRES_PASSWORD .* restart the service"):
        snapshot.load()
    snapshot.close()
    assert path.exists()
    assert secrets["POSTGRES_PASSWORD"] not in inherited_environment().values()


@pytest.mark.parametrize(("allowed", "dumpable"), [("false", "0"), ("true", "1")])
def test_a_process_is_not_dumpable(allowed: str, dumpable: str) -> None:
    """Unless CORE_DUMPS allows it: neither a file nor `core_pattern` gets its memory."""
    code = (
        "import ctypes, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))\n"
        "from app import cli\n"
        f"{'cli.disable_core_dumps()' if allowed == 'false' else ''}\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == dumpable, ran.stderr
