"""The bootstrap, run in a small checkout of its own with the uv that made this environment."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from devstack import machine
from devstack.bootstrap import FILES
from devstack.supply.pins import read_pins

CHECKOUT = Path(__file__).resolve().parents[3]
PARTS = ("__init__", "bootstrap", "machine")
PIN = next(pin for pin in read_pins(CHECKOUT / "requirements.txt") if pin.name == "pip")
PINNED = f"pip=={PIN.version} {' '.join(f'--hash=sha256:{digest}' for digest in PIN.digests)}"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the bootstrap and requirement files that ask for next to nothing."""
    checkout = tmp_path / "checkout"
    (checkout / "devstack").mkdir(parents=True)
    (checkout / "requirements").mkdir()
    shutil.copy(CHECKOUT / "requirements" / "uv.txt", checkout / "requirements")
    for part in PARTS:
        shutil.copy(CHECKOUT / "devstack" / f"{part}.py", checkout / "devstack")
    for name in FILES:
        (checkout / name).write_text(f"{PINNED}\n")
    return checkout


def start(checkout: Path, target: str, **variables: str) -> subprocess.Popen[str]:
    """Starts the bootstrap with nothing in its environment but what it may count on."""
    path = os.pathsep.join([str(CHECKOUT / ".uv" / "bin"), os.environ["PATH"]])
    return subprocess.Popen(
        [sys.executable, "-m", "devstack.bootstrap", target],
        cwd=checkout,
        env={"PATH": path, "HOME": os.environ.get("HOME", "/")} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(checkout: Path, target: str, **variables: str) -> tuple[int, str, str]:
    """Runs the bootstrap; returns its exit code, its output and its errors."""
    process = start(checkout, target, **variables)
    output, errors = process.communicate()
    return process.returncode, output, errors


def test_the_second_run_has_nothing_to_do(checkout: Path) -> None:
    """The first run makes an environment with the wanted packages, the second says nothing."""
    code, output, errors = run(checkout, "demo")
    assert (code, errors) == (0, "")
    assert "ready in" in output
    subprocess.run([checkout / ".venv/bin/python", "-m", "pip", "--version"], check=True)
    assert run(checkout, "demo") == (0, "", "")


def test_a_target_keeps_what_others_installed(checkout: Path) -> None:
    """The environment only grows: going back to a smaller target installs nothing."""
    assert run(checkout, "test")[0] == 0
    assert run(checkout, "demo") == (0, "", "")
    assert run(checkout, "test") == (0, "", "")


def test_a_changed_requirement_file_is_installed(checkout: Path) -> None:
    """When a pinned file changes, the next run installs it."""
    assert run(checkout, "demo")[0] == 0
    (checkout / "requirements.txt").write_text(f"# changed\n{PINNED}\n")
    code, output, _ = run(checkout, "demo")
    assert code == 0
    assert "installing" in output
    assert "making .venv" not in output


def test_a_moved_checkout_gets_a_new_environment(checkout: Path, tmp_path: Path) -> None:
    """An environment that was moved along with its checkout is not trusted."""
    assert run(checkout, "demo")[0] == 0
    moved = checkout.rename(tmp_path / "moved")
    assert "making .venv" in run(moved, "demo")[1]


def test_two_bootstraps_take_turns(checkout: Path) -> None:
    """Of two at once one installs, and both end well."""
    both = [start(checkout, "demo"), start(checkout, "demo")]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("installing" in output for output in outputs) == 1


def test_a_failed_installation_is_one_line_and_not_forgotten(checkout: Path) -> None:
    """A failure says in one line what failed and what to do, and the next run tries again."""
    (checkout / "requirements.txt").write_text("missing @ file:///nonexistent/missing.whl\n")
    code, _, errors = run(checkout, "demo")
    assert code == 1
    assert errors.count("\n") == 1
    assert "the packages could not be installed" in errors
    assert "then run again" in errors
    (checkout / "requirements.txt").write_text(f"{PINNED}\n")
    assert run(checkout, "demo")[0] == 0


@pytest.mark.parametrize("options", ["", f" --hash=sha256:{'0' * 64}"])
def test_a_package_without_its_hash_is_not_installed(checkout: Path, options: str) -> None:
    """Neither a pin alone nor a package whose file is another one."""
    for name in FILES:
        (checkout / name).write_text(f"pip=={PIN.version}{options}\n")
    code, _, errors = run(checkout, "demo")
    assert (code, "the packages could not be installed" in errors) == (1, True)
    assert not list((checkout / ".venv").glob("lib/*/site-packages/pip"))


def uv_wheel(folder: Path, version: str) -> str:
    """Puts a `uv` that only tells its version into a folder of packages; the wheel's SHA-256."""
    about = f"uv-{version}.dist-info"
    files = {
        f"uv-{version}.data/scripts/uv": f"#!/bin/sh\necho uv {version}\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: uv\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    folder.mkdir(exist_ok=True)
    wheel = folder / f"uv-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16  # pip lets it be executed
            archive.writestr(entry, text)
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def pin_uv(checkout: Path, version: str, digest: str) -> None:
    """Writes what `make requirements` would write for this version."""
    text = f"# by uv\nuv=={version} \\\n    --hash=sha256:{digest}\n"
    (checkout / "requirements" / "uv.txt").write_text(text)


def test_the_installer_is_the_pinned_one(checkout: Path, tmp_path: Path) -> None:
    """Of several versions the pinned one is got, only with its SHA-256, and again for a new pin."""
    packages, empty = tmp_path / "packages", tmp_path / "empty"
    digests = {version: uv_wheel(packages, version) for version in ("1.0", "1.1", "1.2")}
    offline = {"PATH": str(empty), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(packages)}
    pin_uv(checkout, "1.0", digests["1.2"])
    code, _, errors = run(checkout, "requirements", **offline)
    assert (code, "pip could not get uv" in errors) == (1, True)
    assert not (checkout / ".uv" / "bin").exists()
    for version in ("1.0", "1.1", "1.1"):
        pin_uv(checkout, version, digests[version])
        assert run(checkout, "requirements", **offline)[0] == 0
        said = subprocess.run([checkout / ".uv/bin/uv"], capture_output=True, check=True)
        assert said.stdout == f"uv {version}\n".encode()


def test_an_unwritable_home_is_no_obstacle(checkout: Path) -> None:
    """Without a usable home folder the cache lies in the checkout."""
    (checkout / "requirements.txt").write_text("missing @ file:///nonexistent/missing.whl\n")
    run(checkout, "demo", HOME=str(checkout / "requirements.txt" / "home"))  # it cannot be created
    assert (checkout / ".uv" / "cache").is_dir()


def test_a_wrong_target_is_refused(checkout: Path) -> None:
    """An unknown target is a usage error and makes nothing."""
    code, _, errors = run(checkout, "deploy")
    assert code == 2
    assert errors.startswith("usage: ")
    assert not (checkout / ".venv").exists()


def test_a_python_that_refuses_to_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A python3.12 on PATH that exits with 127, as pyenv's shims do, is not taken."""
    shim, root = tmp_path / "bin" / "python3.12", tmp_path / "pyenv"
    kept = root / "versions" / "3.12.99" / "bin" / "python"
    for program, script in ((shim, "exit 127"), (kept, "echo 3.12")):
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setattr(machine.sys, "executable", "/nonexistent/python")
    monkeypatch.setenv("PATH", str(shim.parent))
    monkeypatch.setenv("PYENV_ROOT", str(root))
    assert machine.find_python() == str(kept)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            "Using it\nerror: no disk\n  Caused by: a\n  Caused by: quota",
            "error: no disk; Caused by: quota",
        ),
        ("  \u00d7 No solution found\n  ╰─▶ Because of this", "No solution found"),
        ("", "it said nothing"),
    ],
)
def test_the_essence_of_a_failure(output: str, said: str) -> None:
    """Of a failed command's output the line that says what went wrong is shown."""
    assert machine.essence(output) == said
