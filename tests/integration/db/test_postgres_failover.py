"""Postgres fails over or loses connections: callers get 503 at worst, and no run is lost."""

import asyncio
import json
import os
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from uuid import uuid4

import psycopg
import pytest

from core.concurrency.thread_pool import BoundedCalls
from core.db.custody import Custody, NewCustody, key_of
from core.db.database import Database
from core.db.runs import RunHistory
from core.db.vcon_owners import VconOwners
from core.errors import UnavailableError
from core.run_ids import new_run_id
from core.settings import DatabaseSettings
from devstack.servers.postgres import Postgres
from pipeline.admin.run_archive import RunArchive, RunOutbox
from pipeline.custody.keeper import PostgresKeeper
from pipeline.ingest.claims import Claims
from pipeline.ingest.partners import partner_calls
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.runs.factories import SECONDS
from schemas.run import Run
from schemas.run_page import RunQuery

CEILING = 60.0
"""Seconds; reached only when something is broken."""


class Switch:
    """A proxy before Postgres: forwards, loses its connections, or goes silent."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._turns = 0
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [near, far]
                for pair in ((near, far), (far, near)):
                    thread = threading.Thread(target=self._carry, args=(*pair, self._turns))
                    self._threads.append(thread)
                    thread.start()

    def _carry(self, one: socket.socket, other: socket.socket, turn: int) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if turn == self._turns:  # else nothing comes any more
                    other.sendall(data)
        _end(other)

    def turn(self) -> None:
        """The connections end; new ones go to the next server."""
        for each in list(self._ends):
            _end(each)

    def fall_silent(self) -> None:
        """What is connected stays so without an answer; new connections go to the next server."""
        self._turns += 1

    def close(self) -> None:
        """End all."""
        _end(self._listener)
        self._threads[0].join()
        self.turn()
        for thread in self._threads:
            thread.join()
        for each in (self._listener, *self._ends):
            each.close()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def switch(postgres_server: Postgres) -> Iterator[Switch]:
    """A proxy before the server."""
    switch = Switch(postgres_server.port)
    yield switch
    switch.close()


@pytest.fixture
def behind(switch: Switch, database_settings: DatabaseSettings) -> Iterator[Database]:
    """The test's database, by way of the proxy."""
    database = Database()
    changes = {"postgres_port": switch.port, "postgres_statement_timeout": 0.5}
    database.initialize(database_settings.model_copy(update=changes))
    yield database
    database.close()


def a_run() -> Run:
    """A run that has ended."""
    vcon = str(uuid4())
    return Run(run_id=new_run_id(), chain="main", status="done", vcon_in=vcon, vcon_out=vcon)


type Trouble = Callable[[Switch, psycopg.Connection, str], object]
TROUBLES: dict[str, Trouble] = {
    "turned": lambda switch, *_: switch.turn(),
    "silent": lambda switch, *_: switch.fall_silent(),
    "terminated": lambda _, admin, name: admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND pid <> pg_backend_pid()",
        [name],
    ),
}


class Callers:
    """Requests that go on while something happens, with what they were told."""

    def __init__(self, database: Database, seconds: float) -> None:
        history = RunHistory(database)
        self._calls = BoundedCalls("test", threads=8, waiting=24, seconds=seconds)
        self._archive = RunArchive(history, self._calls)
        self._claims = Claims(VconOwners(database), partner_calls())
        self._keeper = PostgresKeeper(Custody(database), self._calls)
        self.accepted: list[str] = []
        self.told: Counter[str] = Counter()
        self.going_on = True

    async def _repeat(self, ask: Callable[[], Awaitable[object]]) -> None:
        while self.going_on:
            try:
                await ask()
                self.told["answered"] += 1
            except UnavailableError:
                self.told["503"] += 1

    async def _accept(self) -> None:
        new = NewCustody(vcon_uuid=str(uuid4()), lists=["in"], document=b"{}")
        self.accepted.append(await self._keeper.accept(new))

    async def run(self) -> None:
        """Ask until all shall end."""
        await asyncio.gather(
            *(self._repeat(lambda: self._archive.find_run(new_run_id())) for _ in range(4)),
            *(self._repeat(lambda: self._archive.list_runs(RunQuery())) for _ in range(2)),
            *(self._repeat(self._accept) for _ in range(4)),
            *(self._repeat(lambda: self._claims.claim(uuid4(), uuid4())) for _ in range(4)),
        )

    async def served(self, count: int) -> None:
        """Until so many further requests were answered."""
        goal = self.told["answered"] + count
        async with asyncio.timeout(CEILING):
            while self.told["answered"] < goal:  # noqa: ASYNC110 -- many requests end in a second
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_callers_are_told_503_at_worst(
    trouble: str,
    switch: Switch,
    behind: Database,
    redis: RedisConnection,
    postgres_server: Postgres,
    database_settings: DatabaseSettings,
) -> None:
    """Again and again: what was accepted is in custody, and each run is recorded once."""
    name = database_settings.postgres_database
    callers, archive = Callers(behind, 0.5), RunArchive(RunHistory(behind), partner_calls())
    outbox = RunOutbox(redis, archive.write_runs, most=10_000)
    runs = [a_run() for _ in range(60)]
    asking, draining = asyncio.ensure_future(callers.run()), asyncio.ensure_future(outbox.run())
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        for number in range(6):
            batch = [json.dumps(run.model_dump(mode="json")) for run in runs[number::6]]
            await redis.command("RPUSH", keys.HISTORY, *batch)
            await callers.served(10)
            TROUBLES[trouble](switch, admin, name)
        await callers.served(100)
        async with asyncio.timeout(CEILING):
            while await redis.command("LLEN", keys.HISTORY):  # noqa: ASYNC110 -- Redis tells no end
                await asyncio.sleep(0.01)
        callers.going_on = False
        await asking
        draining.cancel()
    with behind.session() as session:
        query = session.connection().exec_driver_sql
        found = query("SELECT run_id::text FROM chain_runs").all()
        kept = query("SELECT accepted_at, number FROM custody").all()
    assert sorted(row[0] for row in found) == sorted(run.run_id for run in runs)
    assert {key_of(ref) for ref in callers.accepted} <= {tuple(row) for row in kept}
    assert set(callers.told) <= {"answered", "503"}


async def test_a_server_that_falls_silent_holds_no_thread(switch: Switch, behind: Database) -> None:
    """The connection is given up soon after its caller, so that the next call can be made."""
    calls = BoundedCalls("test", threads=1, waiting=0, seconds=0.3)
    archive = RunArchive(RunHistory(behind), calls)
    assert await archive.find_run(new_run_id()) is None
    switch.fall_silent()
    with pytest.raises(UnavailableError, match="does not answer"):
        await archive.find_run(new_run_id())
    async with asyncio.timeout(CEILING):
        while True:
            with suppress(UnavailableError):
                assert await archive.find_run(new_run_id()) is None
                break
            await asyncio.sleep(0.01)


def test_calls_of_requests_have_two_seconds() -> None:
    """All but those that read or write much for operators."""
    assert (SECONDS, partner_calls().seconds) == (2.0, 2.0)


def test_a_server_that_vanishes_is_noticed_during_long_calls(behind: Database) -> None:
    """By the kernel, which asks each second whether it is there."""
    with behind.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with socket.socket(fileno=os.dup(driver.fileno())) as tcp:
            idle = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            most = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert (idle, most) == (1, 3000)
