"""The embedded PostgreSQL and Valkey are real servers that keep their data."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from signal import SIGTERM

import psycopg
import pytest
from redis import AuthenticationError, Redis

from devstack.errors import PortTakenError, StackError
from devstack.servers import folders, ports, postgres
from devstack.servers.account import server_account
from devstack.servers.folders import server_folder
from devstack.servers.postgres import Postgres
from devstack.servers.process import KeptProcess
from devstack.servers.valkey import Valkey
from devstack.supply import packages
from tests.canaries import canary
from tests.integration.support.processes import processes_under

pytestmark = pytest.mark.executed  # servers with their keepers

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change user")


# --- PostgreSQL -------------------------------------------------------------------------------


def test_postgres_is_version_18(postgres_server: Postgres) -> None:
    """The packaged server is a PostgreSQL 18."""
    with psycopg.connect(postgres_server.url()) as connection:
        assert connection.info.server_version // 10_000 == 18


def test_postgres_refuses_a_wrong_password(postgres_server: Postgres) -> None:
    """The password is required on the loopback interface, too."""
    wrong = postgres_server.url().replace(postgres_server.password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_postgres_listens_on_loopback_only(postgres_server: Postgres) -> None:
    """No other address and no Unix socket leads to the server."""
    with psycopg.connect(postgres_server.url()) as connection:
        shown = [
            connection.execute(f"SHOW {name}").fetchone()
            for name in ("listen_addresses", "unix_socket_directories")
        ]
    assert shown == [("127.0.0.1",), ("",)]


def test_postgres_knows_unicode(postgres_server: Postgres) -> None:
    """Case and encoding do not depend on the machine's locale."""
    with psycopg.connect(postgres_server.url()) as connection:
        row = connection.execute("SELECT upper('äé'), current_setting('server_encoding')")
        assert row.fetchone() == ("ÄÉ", "UTF8")


def test_postgres_clones_a_template(postgres_server: Postgres, empty_database: str) -> None:
    """A database made from a template holds what the template holds."""
    with psycopg.connect(postgres_server.url(empty_database), autocommit=True) as connection:
        connection.execute("CREATE TABLE thing AS SELECT 7 AS number")
    postgres_server.create_database("clone", template=empty_database)
    with psycopg.connect(postgres_server.url("clone")) as connection:
        assert connection.execute("SELECT number FROM thing").fetchone() == (7,)
    postgres_server.drop_database("clone")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(postgres_server.url("clone"))


@as_root
def test_postgres_never_runs_as_root(postgres_server: Postgres) -> None:
    """Root's server runs as an unprivileged user, its groups included."""
    status = Path(f"/proc/{postgres_server.pid}/status").read_text()
    ids = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
    assert "0" not in ids["Uid"] + ids["Gid"] + ids["Groups"]


@as_root
def test_existing_folders_keep_their_modes(tmp_path: Path) -> None:
    """A closed folder stays closed: the cluster lies in a stand-in that no other folder opened."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    watched = [closed, *closed.parents, packages.package_folder(postgres.PACKAGE)]
    before = [place.stat().st_mode for place in watched]
    home = server_folder(closed)
    try:
        Postgres.start(closed, fsync=False).stop()
        assert [place.stat().st_mode for place in watched] == before
        assert not list(closed.iterdir())
        assert home.parent == folders.STABLE_BASE
    finally:
        shutil.rmtree(home)


@as_root
def test_a_stand_in_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """A folder prepared by another user is not trusted with a database."""
    home = server_folder(tmp_path)
    try:
        lent = server_account()
        assert lent is not None
        os.chown(home, lent.uid, lent.gid)
        with pytest.raises(StackError, match="not a folder of this user alone"):
            Postgres.start(tmp_path, fsync=False)
    finally:
        home.rmdir()


def test_postgres_keeps_its_data_over_a_crash(used_stack_folder: Path) -> None:
    """What was committed before a kill is there after a start on the same folder."""
    server = Postgres.start(used_stack_folder / "postgres")
    with psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE thing AS SELECT 7 AS number")
    server.kill()
    again = Postgres.start(used_stack_folder / "postgres", port=server.port)
    with psycopg.connect(again.url()) as connection:
        assert connection.execute("SELECT number FROM thing").fetchone() == (7,)
    again.stop()
    assert again.password == server.password


def test_an_interrupted_first_start_is_made_good(reachable_folder: Path) -> None:
    """A cluster whose making was interrupted is made anew."""
    server_folder(reachable_folder)
    (reachable_folder / "cluster" / "unfinished" / "base").mkdir(parents=True)
    server = Postgres.start(reachable_folder, fsync=False)
    server.stop()
    assert (reachable_folder / "cluster" / "data").is_dir()


@as_root
def test_a_restart_copies_no_programs(used_stack_folder: Path) -> None:
    """A start runs the programs copied by the one before."""
    folder = used_stack_folder / "postgres"
    (copied,) = folder.glob("programs*")
    before = copied.stat().st_ino
    Postgres.start(folder, fsync=False).stop()
    assert [each.stat().st_ino for each in folder.glob("programs*")] == [before]


@as_root
@pytest.mark.parametrize("name", ["programs", "programs-1-2"])
def test_stale_programs_are_replaced(used_stack_folder: Path, name: str) -> None:
    """A copy that was interrupted, or is of another release, is removed and made anew."""
    folder = used_stack_folder / "postgres"
    (good,) = folder.glob("programs*")
    good.rename(folder / name)
    (folder / name / postgres.PACKAGE / postgres.INSTALLATION / "bin" / "postgres").unlink()
    Postgres.start(folder, fsync=False).stop()
    assert list(folder.glob("programs*")) == [good]


def test_stopped_postgres_leaves_no_process(used_stack_folder: Path) -> None:
    """A stop ends the server and its keeper, open connections or not; a second stop is harmless."""
    server = Postgres.start(used_stack_folder / "postgres", fsync=False)
    connection = psycopg.connect(server.url())
    assert processes_under(used_stack_folder)
    server.stop()
    server.stop()
    assert not processes_under(used_stack_folder)
    connection.close()


# --- Valkey -----------------------------------------------------------------------------------


def test_valkey_speaks_json(redis_url: str) -> None:
    """JSON documents are set, read and appended to through redis-py."""
    with Redis.from_url(redis_url) as client:
        client.json().set("vcon:1", "$", {"dialog": [{"body": "Grüße"}], "analysis": []})
        assert client.json().arrappend("vcon:1", "$.analysis", {"type": "summary"}) == [1]
        assert client.json().get("vcon:1") == {
            "dialog": [{"body": "Grüße"}],
            "analysis": [{"type": "summary"}],
        }


def test_valkey_refuses_rather_than_evicts(redis_url: str) -> None:
    """Nothing is evicted; and nothing is freed in a thread that the JSON module does not expect."""
    with Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert set(client.config_get("lazyfree-lazy-*").values()) == {"no"}


def test_killed_valkey_comes_back_with_its_data(reachable_folder: Path) -> None:
    """After a crash a restart serves the same data at the same address, JSON and lists alike."""
    server = Valkey.start(reachable_folder)
    address, first = server.url, server.pid
    with Redis.from_url(address, decode_responses=True) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        client.json().set("vcon:1", "$", {"uuid": "1"})
        client.rpush("inbox", "1", "2")
        # with `everysec` it answers first and writes later while the disk is busy
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
    server.kill()
    server.restart()
    with Redis.from_url(address, decode_responses=True) as client:
        assert client.json().get("vcon:1") == {"uuid": "1"}
        assert client.lrange("inbox", 0, -1) == ["1", "2"]
    assert (server.url, server.pid == first) == (address, False)
    server.stop()


def test_no_other_user_reads_what_valkey_keeps(reachable_folder: Path) -> None:
    """Neither its files nor its log, also where these are there from before."""
    (reachable_folder / "valkey.log").touch(mode=0o644)
    server = Valkey.start(reachable_folder)
    with Redis.from_url(server.url) as client:
        client.set("a", "1")
    server.stop()
    files = [each for each in reachable_folder.rglob("*") if each.is_file()]
    files = [each for each in files if each.name not in ("lock", "owner")]  # they hold no data
    assert {"valkey.conf", "valkey.log"} < {each.name for each in files}
    assert [each.name for each in files if each.stat().st_mode & 0o077] == []


def test_valkey_with_a_password_opens_to_its_url_only(reachable_folder: Path) -> None:
    """As `make up` has it; the password is in no argument."""
    server = Valkey.start(reachable_folder, password=canary("valkey-password-31cd"))
    with Redis.from_url(server.url) as known, Redis(port=server.port) as stranger:
        assert known.ping()
        with pytest.raises(AuthenticationError):
            stranger.ping()
    arguments = Path(f"/proc/{server.pid}/cmdline").read_text()
    server.stop()
    assert server.password not in arguments


def test_no_secret_is_an_argument_of_a_server_or_its_keeper(reachable_folder: Path) -> None:
    """Commands and environments of servers, which every user of the machine could read."""
    secret = canary("argument-canary-77ab")
    process = KeptProcess(
        "sleeper",
        [sys.executable, "-c", "import time; time.sleep(1000)"],
        folder=reachable_folder,
        stop_signal=SIGTERM,
        environment={"PATH": os.defpath, "SECRET": secret},
    )
    pids = [process.pid, process._keeper.pid]
    lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
    process.stop()
    assert all(lines)
    assert [line for line in lines if secret in line] == []


def test_stopped_valkey_leaves_no_process(reachable_folder: Path) -> None:
    """A stop ends the server and its keeper; a second stop is harmless."""
    server = Valkey.start(reachable_folder)
    assert processes_under(reachable_folder)
    server.stop()
    server.stop()
    assert not processes_under(reachable_folder)


def test_two_servers_never_share_a_folder(reachable_folder: Path) -> None:
    """A folder whose server still runs is refused, since two would ruin its data."""
    server = Valkey.start(reachable_folder)
    with pytest.raises(StackError, match="is in use by a server that still runs"):
        Valkey.start(reachable_folder)
    server.stop()


# --- ports ------------------------------------------------------------------------------------


def test_no_two_processes_are_offered_the_same_port() -> None:
    """Until a server listens, its port is free; another process must not start one there."""
    draw = "from devstack.servers.ports import *; print(*(free_port() for _ in range(1000)))"
    told = subprocess.run([sys.executable, "-c", draw], stdout=subprocess.PIPE, check=True)
    theirs = set(map(int, told.stdout.split()))
    assert theirs.isdisjoint({ports.free_port() for _ in range(1000)})


def test_a_port_lost_to_a_race_is_replaced(
    reachable_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another program takes the free port first, the server starts on another one."""
    with socket.create_server((ports.HOST, ports.free_port())) as taken:
        offers = iter([taken.getsockname()[1], ports.free_port()])
        monkeypatch.setattr(ports, "free_port", lambda: next(offers))
        server = Valkey.start(reachable_folder)
    server.stop()
    assert not list(offers)


def test_a_port_that_is_let_go_of_meanwhile_is_had() -> None:
    """A killed server's child may hold it for a moment: a restart there tries again."""
    number = ports.free_port()
    holder = socket.create_server((ports.HOST, number))

    def launch(port: int) -> int:
        try:
            with socket.create_server((ports.HOST, port)):
                return port
        except OSError as error:
            holder.close()
            raise PortTakenError(str(error)) from error

    assert ports.on_free_port(launch, number) == number


@pytest.mark.parametrize("server", [Postgres, Valkey])
def test_a_taken_port_is_named(
    used_stack_folder: Path, server: type[Postgres] | type[Valkey]
) -> None:
    """A port that was asked for and is taken is refused in one line that says so."""
    with (
        socket.create_server((ports.HOST, ports.free_port())) as taken,
        pytest.raises(PortTakenError, match="Address already in use") as refused,
    ):
        server.start(used_stack_folder / server.__name__.lower(), port=taken.getsockname()[1])
    assert "\n" not in str(refused.value)
    assert not processes_under(used_stack_folder)
