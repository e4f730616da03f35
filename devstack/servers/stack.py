"""Starts and stops both servers of the embedded stack."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from devstack.errors import StackError
from devstack.servers.folders import temporary_folder
from devstack.servers.postgres import Postgres
from devstack.servers.valkey import Valkey


class EmbeddedStack:
    """PostgreSQL and Valkey under one folder; a context manager that starts and stops both.

    Inside the context `postgres` and `valkey` are running, and `folder` exists. Both end with this
    process, also if it is killed.
    """

    folder: Path
    postgres: Postgres
    valkey: Valkey

    def __init__(
        self, folder: Path | None = None, *, fsync: bool = True, valkey_password: str = ""
    ) -> None:
        """Without `folder`, the data are in a temporary folder, removed with the stack."""
        self._valkey_password = valkey_password
        self._given = folder
        self._fsync = fsync
        self._running = ExitStack()

    def __enter__(self) -> Self:
        """Starts both servers concurrently.

        Raises:
            StackError: if one does not start; the other has been stopped again.
        """
        with ExitStack() as started:
            folder = self._given or started.enter_context(temporary_folder())
            try:
                self._start(folder, started)
            except OSError as error:
                raise StackError(f"no servers can run in {folder}: {error}") from error
            self.folder = folder
            self._running = started.pop_all()
        return self

    def _start(self, folder: Path, started: ExitStack) -> None:
        with ThreadPoolExecutor() as pool:
            postgres = pool.submit(Postgres.start, folder / "postgres", fsync=self._fsync)
            password = self._valkey_password
            valkey = pool.submit(Valkey.start, folder / "valkey", password=password)
        _stop_with(started, postgres)
        _stop_with(started, valkey)
        self.postgres, self.valkey = postgres.result(), valkey.result()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops both servers and removes temporary folders."""
        self._running.close()

    def environment(self, database: str) -> dict[str, str]:
        """Returns the service's environment variables for both servers and `database`."""
        return {"REDIS_URL": self.valkey.url, **self.postgres.environment(database)}


def _stop_with(started: ExitStack, starting: Future[Postgres] | Future[Valkey]) -> None:
    if starting.exception() is None:
        started.callback(starting.result().stop)
