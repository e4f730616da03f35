"""The API is killed after it has taken a vCon and before it has answered: the client repeats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from devstack.servers.ports import HOST
from devstack.service import ServiceProcess
from tests.integration.app import test_api_process
from tests.integration.app.test_api_process import TOKEN, Start, client, post, ready
from tests.integration.http_api.clients.calls import by_httpx, by_requests
from tests.integration.http_api.clients.senders import (
    End,
    Spool,
    Template,
)
from tests.integration.http_api.clients.test_http_fetch import fetched
from tests.integration.support.pipeline_fixtures import a_vcon

KEY = test_api_process.KEY
config, start, queues = test_api_process.config, test_api_process.start, test_api_process.queues
type Deliver = Callable[[str, dict[str, Any], Path], End]


def template(url: str, vcon: dict[str, Any], folder: Path) -> End:
    """The adapters' template."""
    return Template(url, TOKEN, ["in"], by_httpx, lambda _: None).deliver(vcon)


def spool(url: str, vcon: dict[str, Any], folder: Path) -> End:
    """A partner's forwarder."""
    forwarder = Spool(url, KEY, "in", by_requests, lambda _: None, folder)
    forwarder.keep(vcon)
    return forwarder.run()


def meet(url: str, vcon: dict[str, Any], folder: Path) -> End:
    """The Google Meet adapter, on Node."""
    served: Any = SimpleNamespace(url=url)
    outcome = asyncio.run(fetched("meet", served, vcon, token=TOKEN))
    assert outcome["statuses"] == [0, 201]
    return End(outcome["end"])


CLIENTS: tuple[Deliver, ...] = (template, spool, meet)


class Relay:
    """Passes connections on to `target`; kills it when it answers the request of a `victim`."""

    def __init__(self, target: ServiceProcess) -> None:
        self.target = target
        self.next: ServiceProcess | None = None
        """Set: kill the target at its next answer, which is dropped, and go on with this one."""
        self.answers: list[bytes] = []
        """What the killed ones had begun to answer."""
        self._connections: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """The address that clients are told."""
        server = await asyncio.start_server(self._connected, HOST, 0)
        try:
            yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await asyncio.gather(*self._connections)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.append(cast(asyncio.Task[None], asyncio.current_task()))
        with suppress(ConnectionError):
            back, there = await asyncio.open_connection(HOST, self.target.api_port)
            sending = asyncio.create_task(_pass(reader, there))
            with suppress(ConnectionError):
                await self._answered(back, writer)
            there.close()
            await sending
        writer.close()

    async def _answered(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer := await back.read(65536):
            if self.next is not None:
                await asyncio.to_thread(self.target.kill)
                self.answers.append(answer)
                self.target, self.next = self.next, None
                break
            writer.write(answer)
        writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def relay(start: Start) -> Relay:
    """Before a process of the API, which runs chains too."""
    api = start("with-workers", "api", "--workers", "1", CONSERVER_VCON_CONCURRENCY="1")
    await ready(api)
    return Relay(api)


async def test_a_vcon_whose_answer_was_lost_is_sent_again_and_runs_once(
    relay: Relay, start: Start, queues: Redis, tmp_path: Path
) -> None:
    """By each client's own retries, with the same key: one run of each vCon, none set aside."""
    last, vcons = relay.target, [a_vcon() for _ in CLIENTS]
    victims = [start(f"victim-{number}", "api") for number in range(len(CLIENTS))]
    await ready(*victims)
    (folder := tmp_path / "spool").mkdir()
    order = [*victims[1:], last]
    relay.target = victims[0]
    async with relay.listening() as url:
        for deliver, vcon, following in zip(CLIENTS, vcons, order, strict=True):
            relay.next = following
            end = await asyncio.to_thread(deliver, url, vcon, folder)
            assert (end, relay.next) == (End.DELIVERED, None), deliver
    assert all(answer.startswith((b"HTTP/1.1 201", b"HTTP/1.1 204")) for answer in relay.answers)
    assert list(folder.iterdir()) == []
    async with client(last) as http:
        vcons.append({"uuid": await post(http)})
    done = []
    while vcons[-1]["uuid"] not in done:
        _, vcon_uuid = await queues.blpop(["out"], timeout=60)
        done.append(vcon_uuid)
    assert done == [vcon["uuid"] for vcon in vcons]
