"""What a prepared process is asked to become, and which starts of the tests it can carry out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from devstack.servers import keeper
from devstack.service import ENTRYPOINT

ORIGIN_ENVIRONMENT = {"PATH": os.defpath}
"""The variables of the prepared process itself."""
LONGEST_COMMAND = 4_000
"""Bytes of a command: it replaces an argument of this length in the process's own."""
COERCED = {"LC_CTYPE": "C.UTF-8"}
"""What the interpreter itself sets where no variable names a locale (PEP 538)."""
INDEPENDENT = frozenset({"PATH", "HOME"})
"""Variables that imports read without keeping anything of them."""
OF_THE_INTERPRETER = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC_", "OPENSSL_", "SSL_")
"""Beginnings of variables that a program reads at its start, before any import."""
CUSTOMIZATIONS = frozenset({"sitecustomize", "usercustomize"})
KEEPER = (sys.executable, "-I", "-S", keeper.__file__)


class Call(NamedTuple):
    """The arguments of `subprocess.Popen._execute_child`."""

    args: Any
    executable: Any
    preexec_fn: Any
    close_fds: bool
    pass_fds: Sequence[int]
    cwd: Any
    env: Mapping[str, str] | None
    startupinfo: Any
    creationflags: Any
    shell: bool
    p2cread: int
    p2cwrite: int
    c2pread: int
    c2pwrite: int
    errread: int
    errwrite: int
    restore_signals: bool
    gid: int | None
    gids: Any
    uid: int | None
    umask: int
    start_new_session: bool
    process_group: int

    @property
    def plain(self) -> bool:
        """Whether nothing is asked for that an `Order` does not say."""
        account = (self.executable, self.gid, self.uid, self.gids or None)
        return not (self.shell or any(each is not None for each in account)) and (
            self.close_fds and self.process_group == -1 and not isinstance(self.args, str | bytes)
        )

    @property
    def descriptors(self) -> list[int]:
        """Those that the process gets, in the order of `Order.targets`."""
        standard = (self.p2cread, self.c2pwrite, self.errwrite)
        named = [own if given == -1 else given for own, given in enumerate(standard)]
        return [*named, *self.pass_fds]

    def order(self) -> Order:
        """The same as what can be sent."""
        return Order(
            command=[os.fsdecode(word) for word in self.args],
            folder=str(Path(os.fsdecode(self.cwd or "")).absolute()),
            environment=dict(os.environ if self.env is None else self.env),
            umask=self.umask,
            session=self.start_new_session,
            targets=[0, 1, 2, *self.pass_fds],
        )


@dataclass(frozen=True)
class Order:
    """A program with its circumstances; `targets` are the numbers of its descriptors."""

    command: list[str]
    folder: str
    environment: dict[str, str]
    umask: int
    session: bool
    targets: list[int]

    def encoded(self) -> bytes:
        """As bytes, for a file."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decoded(cls, content: bytes) -> Order:
        """The reverse of `encoded`."""
        return cls(**json.loads(content))

    @property
    def is_keeper(self) -> bool:
        """Whether it is the program that keeps a server."""
        return tuple(self.command[: len(KEEPER)]) == KEEPER

    @property
    def is_service(self) -> bool:
        """Whether it is this checkout's `entrypoint.py`."""
        words = self.command
        return words[:1] == [sys.executable] and (
            len(words) > 1 and Path(self.folder, words[1]) == ENTRYPOINT
        )

    @property
    def arguments(self) -> list[str]:
        """Those of the program, with its name."""
        words = self.command[1:]
        return words[next(at for at, word in enumerate(words) if not word.startswith("-")) :]

    @property
    def script(self) -> str:
        """The path of the program."""
        return str(Path(self.folder, self.arguments[0]))

    @property
    def paths(self) -> list[str]:
        """The folders of PYTHONPATH."""
        given = self.environment.get("PYTHONPATH", "")
        return given.split(os.pathsep) if given else []


@dataclass(frozen=True)
class Facts:
    """What a prepared process has done: modules imported (`roots`), variables read meanwhile."""

    roots: frozenset[str]
    read: frozenset[str]

    def fit(self, call: Call) -> Order | None:
        """The order, if its program would be the same if it were executed; otherwise None."""
        if not call.plain:
            return None
        order = call.order()
        return order if self._fits(order) else None

    def _fits(self, order: Order) -> bool:
        if sum(len(os.fsencode(word)) + 1 for word in order.command) > LONGEST_COMMAND:
            return False
        return order.is_keeper or (order.is_service and self._suits(order))

    def _suits(self, order: Order) -> bool:
        coerced = COERCED.items()
        given = {
            name: text for name, text in order.environment.items() if (name, text) not in coerced
        }
        if any(name.startswith(OF_THE_INTERPRETER) for name in given if name != "PYTHONPATH"):
            return False
        if not given.keys().isdisjoint(self.read - INDEPENDENT):
            return False
        return not any(self._hides(path) for path in order.paths)

    def _hides(self, path: str) -> bool:
        """Whether modules of this folder could replace imported ones."""
        if not Path(path).is_absolute():
            return True
        entries = Path(path).iterdir() if Path(path).is_dir() else ()
        names = {entry.name.partition(".")[0] for entry in entries}
        return not names.isdisjoint(self.roots | CUSTOMIZATIONS)


def replace_starts(start: Callable[[Call], int | None]) -> None:
    """From now on `subprocess` starts by `start` what it can.

    `start` returns the id of a child of this process, or None for a program to be executed.
    """
    execute = subprocess.Popen._execute_child

    def started(self: subprocess.Popen[Any], *arguments: Any) -> None:
        call = Call(*arguments)
        pipes = call[call._fields.index("p2cread") :][:6]
        try:
            pid = start(call)
        except Exception:
            self._close_pipe_fds(*pipes)
            raise
        if pid is None:
            execute(self, *arguments)
            return
        self.pid, self._child_created = pid, True
        self._close_pipe_fds(*pipes)

    subprocess.Popen._execute_child = started
