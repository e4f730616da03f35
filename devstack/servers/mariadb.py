"""MariaDB on a loopback port, for tests: the installed one, or unpacked Debian packages.

    python -m devstack.servers.mariadb

If it is not installed, this command unpacks the packages (`debian.py`). It succeeds also without
apt; the tests of MySQL are skipped then, except if `CI` is set.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

from devstack.errors import StackError
from devstack.servers.debian import Packages, Unpacked
from devstack.servers.folders import claimed
from devstack.servers.ports import HOST, on_free_port
from devstack.servers.process import KeptProcess

SERVER = Path("usr", "sbin", "mariadbd")
SHARE = Path("usr", "share", "mysql")
"""Its messages, and the tables that it begins with."""
PACKAGES = Packages("mariadb", SERVER, ("mariadb-server-core", "libaio1", "libnuma1", "liburing2"))
READY = "ready for connections"
USER = "patchcord"
TABLES = ("mysql_system_tables.sql", "mysql_system_tables_data.sql")
SETTINGS = ("--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M")


def installed() -> Unpacked | None:
    """MariaDB, or None if it is not available."""
    return PACKAGES.found()


@dataclass(frozen=True)
class MariaDB:
    """A running server with a database `test`, whose only user has all privileges."""

    port: int
    password: str
    process: KeptProcess
    host: str = HOST
    user: str = USER
    database: str = "test"

    @classmethod
    def start(cls, programs: Unpacked, folder: Path, options: Sequence[str] = ()) -> "MariaDB":
        """Creates a cluster in `folder` and starts a server on it, with additional `options`.

        Raises:
            StackError: if it does not start; the message has the cause.
        """
        password, data = secrets.token_hex(12), folder / "data"
        data.mkdir(parents=True)
        _fill(programs, data, password)
        with claimed(folder) as lock:

            def launch(port: int) -> MariaDB:
                command = _command(programs, data)
                own = [f"--port={port}", f"--bind-address={HOST}", f"--socket={folder}/socket"]
                process = KeptProcess(
                    "mariadb",
                    [*command, *own, *options],
                    folder=folder,
                    stop_signal=SIGTERM,
                    pass_fds=[lock],
                    environment=programs.environment,
                )
                process.wait_for_log(READY)
                return cls(port=port, password=password, process=process)

            return on_free_port(launch)

    def stop(self) -> None:
        """Stops the server gracefully."""
        self.process.stop()


def _command(programs: Unpacked, data: Path) -> list[str | Path]:
    account = ["--user=root"] if os.geteuid() == 0 else []
    messages = f"--lc-messages-dir={programs.root / SHARE}"
    return [
        programs.root / SERVER,
        "--no-defaults",
        *account,
        f"--datadir={data}",
        messages,
        *SETTINGS,
    ]


def _fill(programs: Unpacked, data: Path, password: str) -> None:
    """Creates the system tables, the user and the database (0.5 s)."""
    tables = [(programs.root / SHARE / name).read_text(encoding="utf-8") for name in TABLES]
    statements = [
        "CREATE DATABASE mysql;",
        "USE mysql;",
        *tables,
        "FLUSH PRIVILEGES;",
        f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{password}';",
        f"GRANT ALL ON *.* TO '{USER}'@'%';",
        "CREATE DATABASE test;",
    ]
    done = subprocess.run(
        [*_command(programs, data), "--bootstrap"],
        input="\n".join(statements),
        env=programs.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StackError(f"no MariaDB cluster could be made: {done.stderr.strip()[-500:]}")


def fetch() -> int:
    """Fetch it if it is missing; returns 0."""
    return PACKAGES.try_to_fetch("tests of MySQL are skipped")


if __name__ == "__main__":
    sys.exit(fetch())
