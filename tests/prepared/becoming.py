"""What makes a forked process the one that was ordered, as if it had been executed."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import importlib
import os
import signal
import sys
import tempfile
import time
import types
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tests.prepared.orders import COERCED, LONGEST_COMMAND, Order

PR_SET_MM, PR_SET_MM_ARG_END = 35, 9


class CommandLine:
    """The memory with this process's arguments, which `ps` shows; children inherit it."""

    def __init__(self) -> None:
        words = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        self._start, end = int(words[45]), int(words[46])
        self._size = end - self._start
        if self._size <= LONGEST_COMMAND:
            raise RuntimeError("this process needs an argument that may be overwritten")

    def replace(self, command: Sequence[str]) -> None:
        """Show this command; without CAP_SYS_RESOURCE with zeros behind."""
        text = b"".join(os.fsencode(word) + b"\0" for word in command)
        ctypes.memmove(self._start, text.ljust(self._size, b"\0"), self._size)
        end = ctypes.c_ulong(self._start + len(text))
        ctypes.CDLL(None).prctl(PR_SET_MM, PR_SET_MM_ARG_END, end, 0, 0)


def become(
    order: Order, descriptors: Sequence[int], line: CommandLine, paths: Sequence[str]
) -> None:
    """Take over all that a start gives to a process; the program has not begun.

    `paths` are those of modules behind the program's folder and PYTHONPATH.
    """
    _take(order.targets, descriptors)
    os.chdir(order.folder)
    if order.umask >= 0:
        os.umask(order.umask)
    if order.session:
        os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    coerced = {name: os.environ[name] for name in COERCED if name in os.environ}
    os.environ.clear()
    os.environ.update(coerced | order.environment)
    time.tzset()
    tempfile.tempdir = None
    line.replace(order.command)
    sys.orig_argv[:] = order.command
    sys.argv[:] = order.arguments
    sys.path[:] = [str(Path(order.script).parent), *order.paths, *paths]
    importlib.invalidate_caches()
    _open_standard_streams()


def run(order: Order) -> None:
    """Run the program as `__main__`; returns or raises as it does."""
    script = order.script
    code = compile(Path(script).read_bytes(), script, "exec", dont_inherit=True)
    main: Any = types.ModuleType("__main__")
    main.__file__, main.__builtins__ = script, sys.modules["builtins"]
    sys.modules["__main__"] = main
    gc.collect(0)
    exec(code, main.__dict__)


def _take(targets: Sequence[int], descriptors: Sequence[int]) -> None:
    """Give the descriptors these numbers, and close all others."""
    above = max(*targets, *descriptors) + 1
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, above) for each in descriptors]
    for number, target in zip(moved, targets, strict=True):
        os.dup2(number, target)
    close_all_but(targets)


def close_all_but(kept: Collection[int]) -> None:
    """Close all other descriptors."""
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number not in kept:
            with contextlib.suppress(OSError):  # the one that has read the folder
                os.close(number)


def _open_standard_streams() -> None:
    """New objects: those of before know whether their files could be sought in."""
    for number, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        before = getattr(sys, f"__{name}__")
        stream = open(  # noqa: SIM115 -- open as long as the process
            number,
            mode,
            encoding=before.encoding,
            errors=before.errors,
            closefd=False,
            buffering=1 if name == "stderr" else -1,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
