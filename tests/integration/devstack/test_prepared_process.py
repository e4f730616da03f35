"""What is forked from the prepared process is as if it had been executed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.chaos.system.processes import workers_of
from devstack.service import ENTRYPOINT, ServiceProcess
from tests.integration.support.processes import wait_until_ended
from tests.integration.support.workers import PATIENCE, workers
from tests.prepared.orders import COERCED, ORIGIN_ENVIRONMENT, Call, Facts
from tests.prepared.plugin import PreparedStarts

CONFIG = """
links: {facts: {module: facts_link}}
chains: {one: {links: [facts], ingress_lists: [in]}}
"""
FACTS = """
import json, locale, os, random, signal, sys, tempfile, time
from pathlib import Path

def status(*names):
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: text for name, _, text in (l.partition(":") for l in lines) if name in names}

umask = os.umask(0o022)
os.umask(umask)
print(json.dumps({
    "random": random.random(),
    "shown": Path("/proc/self/cmdline").read_text().rstrip("\\0"),
    "named": sys.argv,
    "given": sys.orig_argv,
    "variables": dict(os.environ),
    "folder": os.getcwd(),
    "script": sys.modules["__main__"].__file__,
    "modules": sys.path,
    "parent": os.getppid(),
    "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
    "umask": umask,
    "signals": status("SigBlk", "SigIgn", "SigCgt"),
    "streams": [
        [s.encoding, s.errors, s.line_buffering] for s in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "files": sorted(each.name for each in Path("/proc/self/fd").iterdir() if int(each.name) < 3),
    "temporary": tempfile.gettempdir(),
    "zone": time.tzname,
    "locale": locale.setlocale(locale.LC_ALL),
    "flags": str(sys.flags),
}), flush=True)

def run(vcon_uuid, *_):
    return vcon_uuid
"""
POSTGRES = {
    **{f"POSTGRES_{name}": "none" for name in ("HOST", "USER", "PASSWORD")},
    **{f"POSTGRES_DB_{name}": "none" for name in ("DEVELOPMENT", "TEST", "PRODUCTION")},
    "POSTGRES_PORT": "1",
    "TZ": "Asia/Tokyo",
}


@pytest.fixture
def prepared(pytestconfig: pytest.Config) -> Iterator[PreparedStarts]:
    """The plugin; the test may change whether it forks."""
    plugin: PreparedStarts = pytestconfig.pluginmanager.get_plugin("prepared")  # type: ignore[assignment]
    before = plugin.executed
    yield plugin
    plugin.executed = before


def told(worker: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The facts of a worker, which is killed."""
    assert worker.stdout is not None
    facts: dict[str, Any] = json.loads(worker.stdout.readline())
    worker.kill()
    assert worker.wait(PATIENCE) == -9
    return facts


def test_a_forked_process_is_as_an_executed_one(
    tmp_path: Path, redis_url: str, prepared: PreparedStarts
) -> None:
    """Arguments, environment, folder, parent, session, signals, files, streams, exit code."""
    (tmp_path / "temporary").mkdir()
    variables = {**POSTGRES, "REDIS_URL": redis_url, "TMPDIR": str(tmp_path / "temporary")}
    with workers(tmp_path, CONFIG, {"facts_link": FACTS}, variables) as start:
        prepared.executed = True
        executed = told(start("w1"))
        prepared.executed = False
        forked, another = told(start("w1")), told(start("w1"))
    assert len({each.pop("random") for each in (executed, forked, another)}) == 3
    assert forked == executed == another


def test_a_service_leaves_nothing_when_it_is_killed(
    tmp_path: Path, redis_url: str, database_environment: dict[str, str]
) -> None:
    """Neither a worker nor the process from which its workers are forked."""
    (tmp_path / "config.yml").write_text("chains: {one: {ingress_lists: [in]}}")
    settings = {
        **database_environment,
        "REDIS_URL": redis_url,
        "CONSERVER_CONFIG_FILE": str(tmp_path / "config.yml"),
        "CONSERVER_API_TOKEN": "none",
    }
    service = ServiceProcess(tmp_path, settings, name="api", arguments=["api", "--workers", "1"])
    try:
        service.wait_until_ready(PATIENCE)
        assert len(workers_of(service.pid)) == 1
        words = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    finally:
        service.kill()
    for pid in map(int, words):
        wait_until_ended(pid)
    assert service.stop() == 128 + 9


def call(*command: str | Path, **more: Any) -> Call:
    """A start by `subprocess.Popen`."""
    plain = dict.fromkeys(Call._fields, None) | dict.fromkeys(
        ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"), -1
    )
    own = {"pass_fds": (), "shell": False, "close_fds": True, "umask": -1, "process_group": -1}
    return Call(**{**plain, **own, "args": command, "env": {}, **more})


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (call(sys.executable, ENTRYPOINT), True),
        (call(sys.executable, "entrypoint.py", "api", cwd=ENTRYPOINT.parent), True),
        (call(sys.executable, "entrypoint.py", cwd="/"), False),  # of another checkout
        (call(sys.executable, "-c", "pass"), False),
        (call("/bin/python", ENTRYPOINT), False),
        (call(sys.executable, ENTRYPOINT, "x" * 5_000), False),
        (call(sys.executable, ENTRYPOINT, executable="/bin/sh"), False),
        (call(sys.executable, ENTRYPOINT, uid=1), False),
        (call(sys.executable, ENTRYPOINT, process_group=0), False),
        (call(sys.executable, ENTRYPOINT, env={"READ": "1"}), False),
        (call(sys.executable, ENTRYPOINT, env={"PYTHONHASHSEED": "1"}), False),
        (call(sys.executable, ENTRYPOINT, env={"LD_PRELOAD": "x.so"}), False),
        (call(sys.executable, ENTRYPOINT, env={"PYTHONPATH": "relative"}), False),
        (call(sys.executable, ENTRYPOINT, env={"LC_ALL": "de_DE.UTF-8"}), False),
        (call(sys.executable, ENTRYPOINT, env={"ANY": "1", **ORIGIN_ENVIRONMENT, **COERCED}), True),
    ],
)
def test_what_would_differ_is_executed(asked: Call, fits: bool) -> None:
    """A program of another file or account, and variables that an import has read."""
    facts = Facts(roots=frozenset(), read=frozenset({"READ"}))
    assert (facts.fit(asked) is not None) is fits


@pytest.mark.parametrize(
    ("name", "fits"),
    [("mine.py", True), ("redis.py", False), ("redis", False), ("sitecustomize.py", False)],
)
def test_modules_in_the_place_of_imported_ones_are_seen(
    tmp_path: Path, name: str, fits: bool
) -> None:
    """Nothing is forked with what was imported from elsewhere."""
    (tmp_path / name).touch()
    facts = Facts(roots=frozenset({"redis"}), read=frozenset())
    asked = call(sys.executable, ENTRYPOINT, env={"PYTHONPATH": str(tmp_path)})
    assert (facts.fit(asked) is not None) is fits
