"""Finds an installer (`uv`) and a Python for the service on this machine.

Runs on any Python >= 3.9 and imports the standard library only, as `bootstrap.py` does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
VENV = CHECKOUT / ".venv"
PRIVATE = CHECKOUT / ".uv"
UV_PIN = CHECKOUT / "requirements" / "uv.txt"
LOG = PRIVATE / "bootstrap.log"

MINORS = ("3.12", "3.13")
# A Python built without these cannot run the service, however well it answers otherwise.
PROBE = "import ctypes, ssl, sys; print('%d.%d' % sys.version_info[:2])"
FRAME = " \u00d7\u2502\u251c\u2570\u2500\u25b6"  # what uv draws around its messages


class BootstrapError(Exception):
    """The message has the failure and what to do, in one line."""


def say(line: str) -> None:
    """Prints progress to the terminal."""
    print(f"bootstrap: {line}", flush=True)


def answers(*command: str | Path) -> str | None:
    """Returns a command's output, stripped, or None if it cannot be run or fails."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None


def attempt(*command: str | Path) -> str | None:
    """Runs a command with its output in the log; returns None, or its error message."""
    ran = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=environment(),
        cwd=CHECKOUT,
        check=False,
    )
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"$ {' '.join(map(str, command))}\n{ran.stdout}\n")
    return None if ran.returncode == 0 else essence(ran.stdout)


def essence(output: str) -> str:
    """Returns the line with the error from a failed command's output."""
    lines = [line for line in (raw.strip(FRAME) for raw in output.splitlines()) if line]
    errors = [line for line in lines if line.lower().startswith("error")]
    causes = [line for line in lines if line.lower().startswith("cause")]
    chosen = (errors or lines)[:1] + causes[-1:] if lines else ["it said nothing"]
    return "; ".join(chosen)[:400]


def environment() -> dict[str, str]:
    """Returns the environment of uv and pip: system certificates, a cache that can be written."""
    # uv renamed this setting; each version knows one of the two names and ignores the other.
    env = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", "UV_NO_PROGRESS": "1", **os.environ}
    env.pop("VIRTUAL_ENV", None)
    home = os.environ.get("HOME", "")
    if not (home and os.access(home, os.W_OK)):
        env.setdefault("UV_CACHE_DIR", str(PRIVATE / "cache"))
        env.setdefault("UV_PYTHON_INSTALL_DIR", str(PRIVATE / "python"))
        env.setdefault("PIP_NO_CACHE_DIR", "1")
    return env


# --- uv ---------------------------------------------------------------------------------------


def find_uv() -> str:
    """Returns a working `uv`: the one on PATH, or else that of `requirements/uv.txt` in `.uv`.

    The one on PATH may have any version, which is the user's choice.
    """
    private = PRIVATE / "bin" / "uv"
    if (own := shutil.which("uv")) and answers(own, "--version"):
        return own
    if f" {pinned_uv()} " not in f"{answers(private, '--version')} ":
        say("getting uv, the installer, into .uv")
        install_uv()
    return str(private)


def pinned_uv() -> str:
    """Returns the version that `requirements/uv.txt` names."""
    lines = UV_PIN.read_text(encoding="utf-8").splitlines()
    [pin] = (line for line in lines if line.startswith("uv=="))
    return pin.partition("==")[2].split()[0]


def install_uv() -> None:
    """Installs the pinned uv into `.uv` with the pip of the running Python.

    pip checks the file against the SHA-256 in `requirements/uv.txt`.

    An old pip trusts only its bundled certificates, so a second attempt names the system's.

    Raises:
        BootstrapError: if there is no pip, or it cannot reach its packages.
    """
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    if answers(*pip, "--version") is None:
        raise BootstrapError(
            f"{sys.executable} has no pip; install it (python3-pip) or uv and run again"
        )
    options = ("--quiet", "--no-input", "--no-deps", "--upgrade", "--target", str(PRIVATE))
    install = ("install", *options, "--require-hashes", "--requirement", str(UV_PIN))
    for certificates in ((), system_certificates()):
        said = attempt(*pip, *install, *certificates)
        if said is None:
            return
    raise BootstrapError(
        f"pip could not get uv ({said}); check the network, or install uv yourself and run again"
    )


def system_certificates() -> tuple[str, ...]:
    """Returns pip's option for the system's certificates, or no option."""
    usual = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
    bundle = next((path for path in usual if Path(path).is_file()), None)
    return ("--cert", bundle) if bundle else ()


def python_candidates() -> Iterator[str]:
    """Yields candidate Pythons: this one, those on PATH, then pyenv's."""
    yield sys.executable
    for name in (*(f"python{minor}" for minor in MINORS), "python3", "python"):
        yield from (str(Path(folder) / name) for folder in os.get_exec_path())
    usual = Path(os.environ.get("HOME", "/")) / ".pyenv"
    pyenv = Path(os.environ.get("PYENV_ROOT") or usual) / "versions"
    for minor in MINORS:
        yield from map(str, pyenv.glob(f"{minor}.*/bin/python"))


def find_python() -> str:
    """Returns a working Python 3.12 or 3.13, or else a version number for uv to download.

    Candidates are executed, since pyenv's shims exist for versions that are not installed.
    """
    for candidate in python_candidates():
        replaced = VENV in Path(candidate).parents  # it goes away with the environment
        if not replaced and answers(candidate, "-c", PROBE) in MINORS:
            return candidate
    say(f"no Python {' or '.join(MINORS)} on this machine: uv fetches one")
    return MINORS[0]
