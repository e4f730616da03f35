"""`deploy/systemd/`: the units are sound, and the API runs as its unit has it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from redis import Redis

from core.settings import Settings
from devstack.service import ServiceProcess
from http_api.description.answer_table import EXAMPLE
from tests.unit.support.source_files import ROOT

pytestmark = pytest.mark.executed  # what an installation executes

type Unit = dict[str, list[str]]

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
INSTALLED = "/opt/patchcord"
STATE, CONFIGURATION = "/var/lib/patchcord", "/etc/patchcord"
NOT_OURS = {"HOME", "PYTHONDONTWRITEBYTECODE", "ENV_FILE"}
CONFIG = "chains: {main: {ingress_lists: [in], egress_lists: [out]}}"
TOKEN = "the-token-of-the-unit"
# What systemd's NoNewPrivileges, MemoryDenyWriteExecute, UMask and limits do, for any user.
CONFINED = f"""
import ctypes, os, resource, sys
prctl = ctypes.CDLL(None, use_errno=True).prctl
no_new_privileges, refuse_writable_code = (38, 1, 0, 0, 0), (65, 1, 0, 0, 0)
for asked in (no_new_privileges, refuse_writable_code):
    if prctl(*asked) and ctypes.get_errno() != 22:  # kernels before 6.3 do not know the second
        sys.exit(os.strerror(ctypes.get_errno()))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.umask(0o077)
os.chdir({str(ROOT)!r})
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def read(path: Path) -> Unit:
    """The lines of `[Service]`: each name with its values."""
    service = path.read_text().partition("[Service]\n")[2].partition("\n[")[0]
    unit: Unit = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", service, re.MULTILINE):
        unit.setdefault(name, []).append(value)
    return unit


def environment(unit: Unit) -> dict[str, str]:
    """The variables that the unit sets."""
    return dict(each.split("=", 1) for each in unit["Environment"])


def seconds(unit: Unit, name: str) -> int:
    """A time of the unit."""
    return int(unit[name][0])


@pytest.fixture(params=UNITS, ids=lambda path: path.stem)
def unit(request: pytest.FixtureRequest) -> Unit:
    """Each of them."""
    return read(request.param)


def test_every_variable_is_a_setting(unit: Unit) -> None:
    """Or what Python or the reading of settings itself knows."""
    known = {name.upper() for name in Settings.model_fields} | NOT_OURS
    assert environment(unit).keys() <= known


def test_it_runs_what_the_image_runs(unit: Unit) -> None:
    """With more time to stop than the grace, and no second try where one cannot help."""
    _, program, *command = unit["ExecStart"][0].split()
    assert [program, *command] in (["entrypoint.py"], ["entrypoint.py", "api"])
    assert seconds(unit, "TimeoutStopSec") > Settings.model_fields["shutdown_grace"].default + 10
    assert "2" in unit["RestartPreventExitStatus"][0].split()
    assert unit["OOMPolicy"] == ["continue"]


def test_both_units_are_confined_alike() -> None:
    """What one may not do, the other may not do."""
    start = "NoNewPrivileges"
    parts = [path.read_text().partition(f"\n{start}=")[2] for path in UNITS]
    assert len(UNITS) == 2
    assert parts[0] == parts[1] != ""


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_takes_the_unit_and_finds_it_confined(path: Path, tmp_path: Path) -> None:
    """No option is unknown to it, and it sees little exposure."""
    unit = tmp_path / path.name.replace("@", "@1")
    shown = path.read_text().replace(f"{INSTALLED}/.venv/bin/python", "/bin/true")
    unit.write_text(shown.replace(f"={INSTALLED}", f"={ROOT}"))
    done = analyze("verify", str(unit))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = analyze("security", "--offline=true", "--threshold=20", str(unit))
    assert done.returncode == 0, done.stdout


def analyze(*command: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says; it reads the file alone."""
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *command], capture_output=True, text=True, check=False
    )


def test_the_api_works_on_a_vcon_as_its_unit_has_it(
    tmp_path: Path, redis_url: str, database_environment: dict[str, str]
) -> None:
    """With the files of the unit, its variables, and the limits that need no root."""
    unit = read(ROOT / "deploy/systemd/patchcord-api@.service")
    for name in ("etc", "state"):
        (tmp_path / name).mkdir()
    places = {CONFIGURATION: f"{tmp_path}/etc", STATE: f"{tmp_path}/state", "%d": f"{tmp_path}/etc"}
    variables = {name: substituted(value, places) for name, value in environment(unit).items()}
    del variables["HEALTH_PORT"], variables["API_PORT"]
    settings = {**database_environment, "REDIS_URL": redis_url}
    (tmp_path / "etc/patchcord.env").write_text("".join(f"{n}={v}\n" for n, v in settings.items()))
    (tmp_path / "etc/config.yml").write_text(CONFIG)
    (tmp_path / "etc/api-tokens").write_text(f"{TOKEN}\n")
    (tmp_path / "confined.py").write_text(CONFINED)
    arguments = [*unit["ExecStart"][0].split()[1:], "--workers", "1"]
    process = ServiceProcess(
        tmp_path, variables, entrypoint=tmp_path / "confined.py", arguments=arguments
    )
    try:
        process.wait_until_ready()
        assert "NoNewPrivs:\t1" in Path(f"/proc/{process.pid}/status").read_text()
        run_one(process, redis_url)
    finally:
        process.stop()
    assert process.stop() == 0


def substituted(value: str, places: dict[str, str]) -> str:
    """The value for this test's files."""
    for place, instead in places.items():
        value = value.replace(place, instead)
    return value


def run_one(process: ServiceProcess, redis_url: str) -> None:
    """A vCon goes in, and through the chain to its egress list."""
    with Redis.from_url(redis_url, decode_responses=True, socket_timeout=90) as redis:
        url = f"{process.api_url}/vcon?ingress_list=in"
        answer = httpx.post(url, json=EXAMPLE, headers={"x-conserver-api-token": TOKEN})
        assert answer.is_success
        assert redis.blpop("out", timeout=60) == ("out", EXAMPLE["uuid"])
