"""A running development Plugboard with hand-driven clients, for the tests of the board itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import cached_property
from typing import Any
from urllib.parse import quote

import httpx
from websockets.asyncio.client import ClientConnection, connect

from devstack.plugboard import DevelopmentPlugboard, PlugboardSettings, Service, Token

Frame = dict[str, Any]
PATIENCE = 60.0


class Client:
    """A WebSocket client that says what it is told to, in either version of the wire format."""

    def __init__(self, socket: ClientConnection, vsn: str) -> None:
        self.socket = socket
        self._arrays = vsn.startswith("2")

    async def say(self, event: str, payload: object = None, **parts: Any) -> None:
        """Send a frame; topic, ref and join_ref may be given."""
        frame = {"topic": "service", "ref": None, "join_ref": None, **parts}
        frame |= {"event": event, "payload": {} if payload is None else payload}
        names = ("join_ref", "ref", "topic", "event", "payload")
        await self.socket.send(json.dumps([frame[n] for n in names] if self._arrays else frame))

    async def hear(self, event: str | None = None) -> Frame:
        """The next frame as an object; fails if it is not that event."""
        async with asyncio.timeout(PATIENCE):
            frame = json.loads(await self.socket.recv())
        if self._arrays:
            frame = dict(zip(("join_ref", "ref", "topic", "event", "payload"), frame, strict=True))
        assert event is None or frame["event"] == event, frame
        return frame

    async def ask(self, event: str, payload: object = None, **parts: Any) -> Frame:
        """Say something and hear the reply to it."""
        await self.say(event, payload, **parts)
        return await self.hear("phx_reply")

    async def join(self, ref: object = "1", join_ref: object = None) -> Frame:
        """Join; the reply's response."""
        reply = await self.ask("phx_join", ref=ref, join_ref=join_ref)
        assert reply["payload"]["status"] == "ok", reply
        return reply["payload"]["response"]

    async def leave(self, **parts: Any) -> list[Frame]:
        """Leave; everything heard up to phx_close."""
        await self.say("phx_leave", **parts)
        heard = [await self.hear()]
        while heard[-1]["event"] != "phx_close":
            heard.append(await self.hear())
        return heard

    async def answer(self, request: Frame, payload: object) -> None:
        """Answer a request frame."""
        await self.say("response", payload, ref=request["payload"]["response_ref"])

    async def alive(self) -> None:
        """Fails if anything but the reply to a heartbeat comes next."""
        reply = await self.ask("heartbeat", topic="phoenix", ref="alive")
        assert reply["ref"] == "alive"

    async def closed(self) -> int | None:
        """Wait for the end; the close code the server gave."""
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
        return self.socket.close_code


class Scene:
    """A board with one service, its token and an account's token."""

    def __init__(self, board: DevelopmentPlugboard, stack: AsyncExitStack) -> None:
        self.board = board
        self.service = board.create_service("basic")
        self.token = board.create_token(self.service)
        self.account = board.create_account_token()
        self._stack = stack

    @cached_property
    def http(self) -> httpx.AsyncClient:
        """A keep-alive HTTP client."""
        client = httpx.AsyncClient(timeout=PATIENCE, verify=False)
        self._stack.push_async_callback(client.aclose)
        return client

    def url(self, token: Token | None = None, **parameters: str) -> str:
        """The WebSocket URL with a token, actions and other parameters."""
        query = {"token": (token or self.token).value, "actions": "{}", **parameters}
        return f"{self.board.websocket_url}?" + "&".join(
            f"{k}={quote(v)}" for k, v in query.items()
        )

    def target(self, **parameters: str) -> str:
        """The same without scheme and host."""
        return self.url(**parameters).removeprefix(f"ws://127.0.0.1:{self.board.port}")

    async def connect(
        self, token: Token | None = None, *, vsn: str = "", **parameters: str
    ) -> Client:
        """A connected client that has not joined; raises what `websockets` raises."""
        if vsn:
            parameters["vsn"] = vsn
        socket = await self._stack.enter_async_context(
            connect(
                self.url(token, **parameters), ping_interval=None, max_size=None, max_queue=None
            )
        )
        return Client(socket, vsn)

    async def join(self, token: Token | None = None, *, vsn: str = "", **parameters: str) -> Client:
        """A joined client."""
        client = await self.connect(token, vsn=vsn, **parameters)
        await client.join()
        return client

    async def second_service(self, parent: Service | None = None) -> tuple[Service, Token]:
        """Another service and its token."""
        service = self.board.create_service("other", parent)
        return service, self.board.create_token(service)

    async def post(
        self, action: object = "Foo", fields: object = None, **more: Any
    ) -> httpx.Response:
        """Call the service over HTTP; the whole JSON body may be replaced by `content=`."""
        body = {"service_id": self.service.id, "action": action, "fields": fields}
        parameters = {"json": body} | more if "content" not in more else more
        headers = {
            "authorization": f"Bearer {self.account.value}",
            "content-type": "application/json",
        }
        return await self.http.post(self.board.http_url, headers=headers, **parameters)

    def calling(self, **more: Any) -> asyncio.Task[httpx.Response]:
        """A call under way."""
        return asyncio.create_task(self.post(**more))


@asynccontextmanager
async def plugboard(**settings: Any) -> AsyncIterator[Scene]:
    """A running board with these settings, without losses unless asked for."""
    async with (
        DevelopmentPlugboard(PlugboardSettings(**{"losses": False, **settings})) as board,
        AsyncExitStack() as stack,
    ):
        yield Scene(board, stack)


def handshake(target: str) -> bytes:
    """A whole handshake for a target, to be sent without a library."""
    lines = [
        f"GET {target} HTTP/1.1",
        "host: localhost",
        "upgrade: websocket",
        "connection: Upgrade",
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
        "sec-websocket-version: 13",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@asynccontextmanager
async def raw_connection(
    board: DevelopmentPlugboard,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A fresh TCP connection, cut at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", board.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def raw_exchange(board: DevelopmentPlugboard, data: bytes) -> bytes:
    """Send bytes on a fresh TCP connection and read until the board hangs up."""
    async with raw_connection(board) as (reader, writer):
        writer.write(data)
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
