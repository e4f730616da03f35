"""MariaDB on a loopback port, for tests: from the machine, or from Debian's packages, unpacked.

    python -m devstack.mariadb

No Python package carries it. Where it is not installed, this command lets apt fetch the packages
and unpacks them into `.devstack/mariadb`; it installs nothing, and needs no root. It ends well also
where there is no apt: the tests of MySQL are skipped then.
"""

import fcntl
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

from devstack.errors import StackError
from devstack.folders import claimed
from devstack.machine import CHECKOUT
from devstack.ports import HOST, on_free_port
from devstack.process import ENVIRONMENT, KeptProcess

PACKAGES = ("mariadb-server-core", "libaio1", "libnuma1", "liburing2")
APT = ("apt-get", "-qq", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1")
UNPACKED = CHECKOUT / ".devstack" / "mariadb"
READY = "ready for connections"
USER = "patchcord"
TABLES = ("mysql_system_tables.sql", "mysql_system_tables_data.sql")
SETTINGS = ("--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M")


@dataclass(frozen=True)
class Programs:
    """Where MariaDB lies: `/`, or the folder that the packages are unpacked in."""

    root: Path

    @property
    def server(self) -> Path:
        """The server's program."""
        return self.root / "usr" / "sbin" / "mariadbd"

    @property
    def share(self) -> Path:
        """The folder of its messages and of the tables that it begins with."""
        return self.root / "usr" / "share" / "mysql"

    @property
    def environment(self) -> dict[str, str]:
        """What it needs to find its libraries."""
        libraries = self.root / "usr" / "lib" / f"{os.uname().machine}-linux-gnu"
        return {**ENVIRONMENT, "LD_LIBRARY_PATH": str(libraries)}


def installed() -> Programs | None:
    """MariaDB's programs, if they are here."""
    found = (Programs(root) for root in (Path("/"), UNPACKED))
    return next((each for each in found if each.server.exists()), None)


def fetch() -> None:
    """Unpacks Debian's packages into this checkout.

    Raises:
        StackError: they are not to be had; the message says why.
    """
    UNPACKED.parent.mkdir(exist_ok=True)
    with _alone(), tempfile.TemporaryDirectory(dir=UNPACKED.parent) as name:
        if installed():
            return
        folder = Path(name)
        try:
            _run(*APT, "download", *PACKAGES, folder=folder)
        except StackError:  # apt's lists are missing or old
            _run(*APT, "update", folder=folder)
            _run(*APT, "download", *PACKAGES, folder=folder)
        for package in folder.glob("*.deb"):
            _run("dpkg-deb", "-x", package, folder / "root", folder=folder)
        (folder / "root").rename(UNPACKED)


@contextmanager
def _alone() -> Iterator[None]:
    with UNPACKED.with_name("mariadb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str | Path, folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise StackError(f"this machine has no {command[0]}") from None
    if done.returncode:
        raise StackError(f"{command[0]} failed: {done.stderr.strip()[-300:]}")


@dataclass(frozen=True)
class MariaDB:
    """A running server with a database `test`, in which its only user may do anything."""

    port: int
    password: str
    process: KeptProcess
    host: str = HOST
    user: str = USER
    database: str = "test"

    @classmethod
    def start(cls, programs: Programs, folder: Path) -> "MariaDB":
        """Makes a cluster in `folder` and starts a server on it.

        Raises:
            StackError: it does not start; the message says why.
        """
        password, data = secrets.token_hex(12), folder / "data"
        data.mkdir(parents=True)
        _fill(programs, data, password)
        with claimed(folder) as lock:

            def launch(port: int) -> MariaDB:
                command = _command(programs, data)
                options = [f"--port={port}", f"--bind-address={HOST}", f"--socket={folder}/socket"]
                process = KeptProcess(
                    "mariadb",
                    [*command, *options],
                    folder=folder,
                    stop_signal=SIGTERM,
                    pass_fds=[lock],
                    environment=programs.environment,
                )
                process.wait_for_log(READY)
                return cls(port=port, password=password, process=process)

            return on_free_port(launch)

    def stop(self) -> None:
        """Ends the server in good order."""
        self.process.stop()


def _command(programs: Programs, data: Path) -> list[str | Path]:
    account = ["--user=root"] if os.geteuid() == 0 else []
    messages = f"--lc-messages-dir={programs.share}"
    return [programs.server, "--no-defaults", *account, f"--datadir={data}", messages, *SETTINGS]


def _fill(programs: Programs, data: Path, password: str) -> None:
    """Makes the tables that a server begins with, the user and the database (0.5 s)."""
    tables = [(programs.share / name).read_text(encoding="utf-8") for name in TABLES]
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


def main() -> int:
    """Returns 0 in any case: without MariaDB the other tests can still run."""
    try:
        if installed() is None:
            fetch()
    except StackError as error:
        print(f"mariadb: {error}; tests of MySQL are skipped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
