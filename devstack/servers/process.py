"""A server process that ends with this process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import Signals
from typing import IO

from devstack.errors import PortTakenError, StackError
from devstack.servers import keeper
from devstack.servers.account import Account

# A fixed environment, so that servers behave the same on every machine.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
PORT_TAKEN = "Address already in use"
START_SECONDS = 60
GRACE_SECONDS = 10
POLL_SECONDS = 0.01


class KeptProcess:
    """A running server, its log and its keeper, which stops it when this process ends.

    `pid` is the server's own process id.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        folder: Path,
        stop_signal: Signals,
        account: Account | None = None,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> None:
        """Starts `command` as `account`; it logs to `<folder>/<name>.log`.

        `pass_fds` stay open as long as the server runs.

        Raises:
            StackError: if it cannot be executed.
        """
        self.name = name
        self.log = folder / f"{name}.log"
        order = keeper.Order(
            command=[str(part) for part in command],
            environment=dict(environment),
            stop_signal=stop_signal,
            grace=GRACE_SECONDS,
            user=account.uid if account else None,
            group=account.gid if account else None,
        )
        with open(self.log, "ab", opener=private) as log:
            self._logged_before = log.tell()
            self._keeper = _start_keeper(order, folder, log, pass_fds)
        self.pid = self._read_pid()

    def _read_pid(self) -> int:
        line = _pipe(self._keeper.stdout).readline()
        if not line:
            self.stop()
            raise StackError(f"{self.name} could not be started: {self.last_words()}")
        return int(line)

    @property
    def running(self) -> bool:
        """Whether the server is running."""
        return self._keeper.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The server's exit code, 128+n after signal n; None while it runs."""
        return self._keeper.poll()

    def logged(self) -> str:
        """Returns the server's log since this start."""
        with self.log.open("rb") as log:
            log.seek(self._logged_before)
            return log.read().decode(errors="replace")

    def last_words(self) -> str:
        """Returns the last lines of the log, in one line."""
        lines = [line.strip() for line in self.logged().splitlines() if line.strip()]
        return " | ".join(lines[-4:]) or "it logged nothing"

    def wait_for_log(self, line: str, *, seconds: float = START_SECONDS) -> None:
        """Waits until the server has logged `line`; stops the server if it does not.

        Raises:
            PortTakenError: if it ended because its port is in use.
            StackError: if it ended, or did not log the line in time.
        """
        deadline = time.monotonic() + seconds
        while line not in self.logged():
            if not self.running or time.monotonic() > deadline:
                self.stop()
                raise self._failure()
            time.sleep(POLL_SECONDS)  # a log file offers no event to wait for

    def _failure(self) -> StackError:
        for line in self.logged().splitlines():
            if PORT_TAKEN in line:
                advice = "stop what listens there, or choose another port"
                return PortTakenError(f"{self.name} did not start: {line.strip()}; {advice}")
        advice = f"check that there is free memory, and free disk space for {self.log.parent}"
        return StackError(f"{self.name} did not start: {self.last_words()}; {advice}")

    def kill(self) -> None:
        """Kills the server and waits for its end."""
        self._end(keeper.KILL)

    def stop(self) -> None:
        """Stops the server gracefully and waits for its end; idempotent."""
        self._end(b"")

    def _end(self, word: bytes) -> None:
        owner = _pipe(self._keeper.stdin)
        with suppress(BrokenPipeError):  # it has ended by itself
            if not owner.closed:
                owner.write(word)
                owner.flush()
        with suppress(BrokenPipeError):
            owner.close()
        self._keeper.wait()
        _pipe(self._keeper.stdout).close()


def private(path: str, flags: int) -> int:
    """Opens a file that no other user can read."""
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)  # it may be there from before
    return descriptor


def _start_keeper(
    order: keeper.Order, folder: Path, log: IO[bytes], pass_fds: Sequence[int]
) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in the terminal reaches the owner, who stops servers in order.
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=folder,
        start_new_session=True,
        pass_fds=pass_fds,
    )
    orders = _pipe(process.stdin)
    with suppress(BrokenPipeError):  # it has ended by itself
        orders.write(json.dumps(order).encode() + b"\n")
        orders.flush()
    return process


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "the keeper's pipes are asked for at its start"
    return stream
