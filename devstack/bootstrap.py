"""Creates `.venv` in this checkout, on a machine with any Python that has pip.

    python3 -m devstack.bootstrap TARGET        (TARGET: a key of `TARGETS`, a Makefile target)

Finds `uv` (on PATH, or else installed into `.uv` with pip) and a Python 3.12 or 3.13 (this one, one
on PATH, one of pyenv's, or else downloaded by uv), installs the target's pinned requirement files,
and writes a stamp into `.venv`, so that a second run only compares the stamp. Packages are only
added: `make demo` after `make test` keeps the test tools.

Runs on any Python >= 3.9 and imports the standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from devstack.machine import (
    CHECKOUT,
    LOG,
    MINORS,
    PRIVATE,
    PROBE,
    VENV,
    BootstrapError,
    answers,
    attempt,
    find_python,
    find_uv,
    say,
)

STAMP = VENV / "bootstrap.json"
SERVICE = "requirements.txt"
DEVSTACK = "requirements-devstack.txt"
TEST = "requirements-test.txt"
COUNTERPARTS = "requirements-counterparts.txt"
TOOLS = "requirements-tools.txt"
FILES = (SERVICE, DEVSTACK, TEST, COUNTERPARTS, TOOLS)
TARGETS = {
    "requirements": (),
    "audit": (SERVICE, TOOLS),
    "demo": (SERVICE, DEVSTACK),
    "up": (SERVICE, DEVSTACK),
    "soak": (SERVICE, DEVSTACK),
    "scaffold": (SERVICE, DEVSTACK, TEST),
    "lint": (SERVICE, DEVSTACK, TEST),
    "sbom": FILES,
    "types": FILES,
    "test": FILES,
}


def digests(files: Iterable[str]) -> dict[str, str]:
    """Returns the digests of requirement files, as recorded in the stamp."""
    return {name: hashlib.sha256((CHECKOUT / name).read_bytes()).hexdigest() for name in files}


def read_stamp() -> dict[str, str]:
    """Returns the digests of the installed files; empty if the environment is not usable."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # never finished, or cut off
        return {}
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    fits = running not in MINORS or stamp["python"] == running  # asked for with PYTHON=...
    here = stamp["checkout"] == str(CHECKOUT) and (VENV / "bin" / "python").exists()
    return dict(stamp["files"]) if fits and here else {}


def write_stamp(files: Iterable[str]) -> None:
    """Records the installed files; the last step, so an interrupted run leaves no stamp."""
    python = answers(VENV / "bin" / "python", "-c", PROBE)
    stamp = {"python": python, "checkout": str(CHECKOUT), "files": digests(files)}
    STAMP.write_text(json.dumps(stamp, indent=1), encoding="utf-8")


def is_ready(wanted: tuple[str, ...]) -> bool:
    """Returns whether the wanted files are installed in their current version."""
    return digests(wanted).items() <= read_stamp().items()


def make_environment(wanted: tuple[str, ...]) -> None:
    """Installs the wanted files' packages, and keeps those installed before."""
    uv, held = find_uv(), read_stamp()
    STAMP.unlink(missing_ok=True)
    if not held:
        create_venv(uv)
    files = [name for name in FILES if name in wanted or name in held]
    say(f"installing {', '.join(files)} (over 100 MB to download the first time)")
    sync = ("pip", "sync", "--require-hashes", "--python", VENV / "bin" / "python")
    said = attempt(uv, *sync, *files)
    if said is not None:
        raise BootstrapError(
            f"the packages could not be installed ({said}); check the network and free disk space,"
            f" then run again; details are in {LOG.relative_to(CHECKOUT)}"
        )
    write_stamp(files)


def create_venv(uv: str) -> None:
    """Creates an empty environment; removes an existing one."""
    shutil.rmtree(VENV, ignore_errors=True)
    python = find_python()
    say(f"making .venv with {python}")
    said = attempt(uv, "venv", "--python", python, VENV)
    if said is not None:
        raise BootstrapError(
            f"no environment could be made with Python {python} ({said}); install Python"
            f" {' or '.join(MINORS)} and run again"
        )


# --- the command ------------------------------------------------------------------------------


@contextmanager
def alone() -> Iterator[None]:
    """Holds the checkout's lock, which serialises concurrent bootstraps."""
    PRIVATE.mkdir(exist_ok=True)
    with (PRIVATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another bootstrap of this checkout")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_machine(wanted: tuple[str, ...]) -> None:
    """Refuses a machine for which the embedded servers are not built.

    Raises:
        BootstrapError: on any machine but Linux on x86-64.
    """
    machine = (platform.system(), platform.machine())
    if DEVSTACK in wanted and machine != ("Linux", "x86_64"):
        raise BootstrapError(
            f"the embedded servers need Linux on x86-64, this is {' on '.join(machine)};"
            " use docker-compose.yml instead"
        )


def bootstrap(target: str) -> None:
    """Prepares the environment for a target; does nothing if it is ready.

    Raises:
        BootstrapError: if that fails; the message has the failure and what to do.
    """
    wanted = TARGETS[target]
    check_machine(wanted)
    if wanted and is_ready(wanted):
        return
    began = time.monotonic()
    with alone():
        LOG.unlink(missing_ok=True)
        if not wanted:
            find_uv()
        elif not is_ready(wanted):
            make_environment(wanted)
    say(f"ready in {time.monotonic() - began:.1f} s")


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 if the target can run, 1 if not, 2 for a wrong command line."""
    if sys.version_info < (3, 9):  # noqa: UP036 - any Python may be the one that starts this
        print("bootstrap: Python >= 3.9 is needed to begin with: make PYTHON=...", file=sys.stderr)
        return 1
    if len(arguments) != 1 or arguments[0] not in TARGETS:
        print(f"usage: bootstrap.py {'|'.join(TARGETS)}", file=sys.stderr)
        return 2
    try:
        bootstrap(arguments[0])
    except BootstrapError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
    except OSError as error:
        print(f"bootstrap: {error}; is this checkout yours to write to?", file=sys.stderr)
    except KeyboardInterrupt:
        print("bootstrap: stopped; run it again to go on", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
