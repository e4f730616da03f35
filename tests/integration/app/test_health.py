"""The health port, and what it says of the service."""

import asyncio
import http.client
import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from app import readiness
from app.health import LIMITS, HealthServer
from app.readiness import Readiness
from core.db.database import Database
from core.settings import DatabaseSettings
from flowlang.connections.tls import web_trust

PATIENCE = 60.0


def page(accept: str) -> tuple[bytes, str]:
    """The metrics, as text for clients that accept text."""
    return f"asked for {accept}\n".encode(), "text/plain; version=9"


@pytest.fixture
def checks() -> dict[str, bool]:
    """What the server is told; tests change it."""
    return {"joined": True, "postgres": True}


@pytest.fixture
def server(checks: dict[str, bool]) -> Iterator[HealthServer]:
    """A server on a free port."""
    server = HealthServer("127.0.0.1", 0, lambda: checks, page)
    server.start()
    yield server
    server.close()


@pytest.fixture
def get(server: HealthServer) -> Iterator[Callable[[str], httpx.Response]]:
    """Asks the server on one connection."""
    base = f"http://127.0.0.1:{server.port}"
    with httpx.Client(
        base_url=base, trust_env=False, timeout=PATIENCE, verify=web_trust()
    ) as client:
        yield client.get


def test_a_process_that_runs_is_alive(get: Callable[[str], httpx.Response]) -> None:
    """/live is 200 as long as anybody answers at all."""
    answer = get("/live")
    assert (answer.status_code, answer.json()) == (200, {"live": True})


def test_ready_follows_the_checks(
    get: Callable[[str], httpx.Response], checks: dict[str, bool]
) -> None:
    """/ready is 200 when every check holds, else 503, and names them all."""
    answer = get("/ready")
    assert (answer.status_code, answer.json()) == (200, {"joined": True, "postgres": True})
    checks["postgres"] = False
    answer = get("/ready")
    assert (answer.status_code, answer.json()) == (503, {"joined": True, "postgres": False})


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=up"])
def test_metrics_come_in_the_format_asked_for(
    path: str, get: Callable[[str], httpx.Response]
) -> None:
    """/metrics is the page that fits the request's Accept header, with its own content type."""
    answer = get(path)
    assert (answer.status_code, answer.text) == (200, "asked for */*\n")
    assert answer.headers["content-type"] == "text/plain; version=9"


@pytest.mark.parametrize("path", ["/", "/readyz", "/live/"])
def test_there_is_nothing_else(path: str, get: Callable[[str], httpx.Response]) -> None:
    """Any other path is 404."""
    assert get(path).status_code == 404


def test_a_slow_client_holds_up_nobody(server: HealthServer) -> None:
    """While one connection says nothing, another is answered."""
    with socket.create_connection(("127.0.0.1", server.port)):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        connection.request("GET", "/live")
        assert json.loads(connection.getresponse().read()) == {"live": True}
        connection.close()


SLOW_CLIENTS = 1_000


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Enough for the slow clients, which are in the same process as the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * SLOW_CLIENTS, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_a_thousand_slow_clients_leave_room_for_a_health_check(
    server: HealthServer, get: Callable[[str], httpx.Response]
) -> None:
    """They hold no threads, and no more file descriptors than the limit; a check is answered."""
    threads = threading.active_count()
    with ExitStack() as clients:
        for number in range(SLOW_CLIENTS):
            slow = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            with suppress(ConnectionError):  # it may have made room for another by now
                slow.sendall(b"GET /live HTTP/1.1\r\nX-Slow: %d" % number)
        assert get("/live").json() == {"live": True}
        assert server.connections <= LIMITS.connections
        assert threading.active_count() <= threads


def raw(server: HealthServer, request: bytes) -> bytes:
    """Everything that the server answers until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65_536), b""))


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"GET /live HTTP/1.1\r\nX: " + b"x" * 2 * LIMITS.head_bytes, 431),
        (b"what is this\r\n\r\n", 400),
        (b"POST /live HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 405),
        (b"HEAD /live HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
        (b"GET /live HTTP/1.0\r\n\r\n", 200),
    ],
)
def test_odd_requests_are_answered(server: HealthServer, request_text: bytes, status: int) -> None:
    """A head that is too long, no HTTP, and methods that are not there each get their status."""
    assert raw(server, request_text).startswith(b"HTTP/1.1 %d " % status)


def test_a_request_that_does_not_end_is_closed(checks: dict[str, bool]) -> None:
    """After the seconds that its head may take."""
    limits = LIMITS._replace(seconds=0.05)
    server = HealthServer("127.0.0.1", 0, lambda: checks, page, limits=limits)
    server.start()
    assert raw(server, b"GET /live") == b""
    server.close()


def test_a_page_that_takes_its_time_holds_up_no_check(checks: dict[str, bool]) -> None:
    """While the metrics are collected for ever so many clients, in one thread, /live is 200."""
    asked, go_on = threading.Semaphore(0), threading.Event()

    def slow_page(accept: str) -> tuple[bytes, str]:
        asked.release()
        go_on.wait()
        return page(accept)

    server = HealthServer("127.0.0.1", 0, lambda: checks, slow_page)
    server.start()
    with ExitStack() as clients:
        for _ in range(2 * LIMITS.connections):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b"live" in raw(server, b"GET /live HTTP/1.0\r\n\r\n")
        asked.acquire()
        assert not asked.acquire(blocking=False)
        go_on.set()
        server.close()


def test_a_taken_port_is_told_at_once(server: HealthServer) -> None:
    """Two servers cannot have one port; the second says so before it starts."""
    with pytest.raises(OSError, match="Address already in use"):
        HealthServer("127.0.0.1", server.port, dict, page)


def test_after_close_nobody_answers(checks: dict[str, bool]) -> None:
    """A closed server has given its port back."""
    server = HealthServer("127.0.0.1", 0, lambda: checks, page)
    server.start()
    server.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


class RedisForTests:
    """Answers as it is told, or hangs when asked often enough."""

    def __init__(self, *answers: bool) -> None:
        self._answers = list(answers)
        self.looked_at = asyncio.Event()

    async def reachable(self) -> bool:
        if not self._answers:
            self.looked_at.set()
            await asyncio.Event().wait()
        return self._answers.pop(0)


@pytest.fixture
def database(
    database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """The database that the readiness looks at, and at short intervals."""
    database = Database()
    database.initialize(database_settings)
    monkeypatch.setattr(readiness, "database", database)
    yield database
    database.close()


async def test_everything_must_hold(database: Database) -> None:
    """Joined, serving, migrated, and both servers answering: then the service is ready."""
    redis, state = RedisForTests(True), {"joined": False, "draining": True}
    ready = Readiness(
        joined=lambda: state["joined"],
        draining=lambda: state["draining"],
        redis=redis.reachable,
        workers=None,
        interval=0.001,
    )
    assert not any(ready.checks().values())
    watching = asyncio.create_task(ready.watch())
    async with asyncio.timeout(PATIENCE):
        await redis.looked_at.wait()
        ready.migrated = True
        # The hanging Redis does not hold up the look at Postgres.
        while not ready.checks()["postgres"]:  # noqa: ASYNC110 -- checks are asked, not told
            await asyncio.sleep(0.001)
    assert ready.checks() == {"joined": False, "postgres": True, "redis": True, "serving": False}
    state |= {"joined": True, "draining": False}
    assert all(ready.checks().values())
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_what_goes_away_is_noticed(database: Database) -> None:
    """A server that stops answering makes the service unready."""
    redis = RedisForTests(True, True, False)
    ready = Readiness(joined=bool, draining=bool, redis=redis.reachable, workers=None)
    watching = asyncio.create_task(ready.watch())
    async with asyncio.timeout(PATIENCE):
        await redis.looked_at.wait()
    assert ready.checks()["redis"] is False
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def test_a_service_without_a_pipeline_needs_no_redis() -> None:
    """A pure RPC service is not asked for what it does not have."""
    ready = Readiness(joined=lambda: True, draining=bool, redis=None, workers=None)
    assert ready.checks() == {"joined": True, "postgres": False, "serving": True}


def test_a_deleted_token_counts_only_where_it_is_asked_for() -> None:
    """With STRICT_TOKEN the service is not ready once the token in use is gone."""
    good = [True, False]
    ready = Readiness(
        joined=lambda: True, draining=bool, redis=None, workers=None, token=lambda: good.pop(0)
    )
    assert [ready.checks()["token"], ready.checks()["token"]] == [True, False]
