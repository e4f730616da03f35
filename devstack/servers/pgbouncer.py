"""PgBouncer on a loopback port, for tests: the installed one, or unpacked Debian packages.

    python -m devstack.servers.pgbouncer

If it is not installed, this command unpacks the packages (`debian.py`). It succeeds also without
apt; the tests of poolers are skipped then, except if `CI` is set.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

from devstack.servers.account import server_account
from devstack.servers.debian import LIBRARIES, Packages, Unpacked
from devstack.servers.folders import claimed
from devstack.servers.ports import HOST, on_free_port
from devstack.servers.postgres import Postgres
from devstack.servers.process import KeptProcess

PROGRAM = Path("usr", "sbin", "pgbouncer")
PACKAGES = Packages("pgbouncer", PROGRAM, ("pgbouncer", "libc-ares2", "libevent-2.1-7"))
READY = "process up:"
CONFIGURATION = """
[databases]
* = host={server.host} port={server.port} user={server.user} password={server.password}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
"""
TLS = """
client_tls_sslmode = require
client_tls_key_file = {pem}
client_tls_cert_file = {pem}
"""


def installed() -> Unpacked | None:
    """PgBouncer, or None if it is not available."""
    return PACKAGES.found()


@dataclass(frozen=True)
class PgBouncer:
    """A running pooler for `server` in transaction mode, without a password."""

    port: int
    server: Postgres
    process: KeptProcess
    host: str = HOST

    @classmethod
    def start(
        cls,
        programs: Unpacked,
        folder: Path,
        server: Postgres,
        pool_size: int = 2,
        certificate: bytes | None = None,
    ) -> "PgBouncer":
        """Starts a pooler with a number of connections to `server` per database.

        With a `certificate`, in PEM and with its key, clients must use TLS.

        Raises:
            StackError: if it does not start; the message has the cause.
        """
        folder.mkdir(parents=True, mode=0o711)
        program = _copied(programs, folder / "programs")
        with claimed(folder) as lock:

            def launch(port: int) -> PgBouncer:
                configuration = _configuration(folder, server, port, pool_size, certificate)
                process = KeptProcess(
                    "pgbouncer",
                    [program.root / PROGRAM, configuration],
                    folder=folder,
                    stop_signal=SIGTERM,
                    account=server_account(),
                    pass_fds=[lock],
                    environment=program.environment,
                )
                process.wait_for_log(READY)
                return cls(port=port, server=server, process=process)

            return on_free_port(launch)

    def url(self, database: str) -> str:
        """Returns the URL of a database behind the pooler."""
        return f"postgresql://{self.server.user}:any@{self.host}:{self.port}/{database}"

    def stop(self) -> None:
        """Stops the pooler; its clients' connections are closed."""
        self.process.stop()


def _copied(programs: Unpacked, root: Path) -> Unpacked:
    """A copy that is accessible to root's account, since PgBouncer refuses to run as root."""
    (root / PROGRAM).parent.mkdir(parents=True)
    (root / LIBRARIES).mkdir(parents=True)
    shutil.copy(programs.root / PROGRAM, root / PROGRAM)
    for library in ("libcares.so.2", "libevent-2.1.so.7"):
        if (programs.root / LIBRARIES / library).exists():
            shutil.copy(programs.root / LIBRARIES / library, root / LIBRARIES)
    for place in (root, *root.rglob("*")):  # the umask may have closed them
        place.chmod(0o755)
    return Unpacked(root)


def _configuration(
    folder: Path, server: Postgres, port: int, pool_size: int, certificate: bytes | None
) -> Path:
    values = {"server": server, "host": HOST, "port": port, "pool_size": pool_size}
    text = CONFIGURATION.format(**values)
    if certificate is not None:
        pem = _private(folder / "certificate.pem", certificate)
        text += TLS.format(pem=pem)
    return _private(folder / "pgbouncer.ini", text.encode())


def _private(path: Path, content: bytes) -> Path:
    """A file that only the pooler can read."""
    path.touch(mode=0o600)
    if (account := server_account()) is not None:
        os.chown(path, account.uid, account.gid)
    path.write_bytes(content)
    return path


def fetch() -> int:
    """Fetch it if it is missing; returns 0."""
    return PACKAGES.try_to_fetch("tests of poolers are skipped")


if __name__ == "__main__":
    sys.exit(fetch())
