"""The short way in and out of a connection loses no message and keeps the order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from core.plugboard.transport import TextConnection

LARGEST = 100_000


@dataclass
class Talk:
    """A connection, its other end, and what the connection has handed over."""

    client: TextConnection
    server: ServerConnection
    heard: list[bytes] = field(default_factory=list)
    writable: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self) -> None:
        """From now on `heard` fills."""
        self.client.listen(self.heard.extend, self.writable.set)


@asynccontextmanager
async def talk() -> AsyncIterator[Talk]:
    """A connection to a server that says nothing by itself."""
    arrived: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()

    async def handler(server: ServerConnection) -> None:
        arrived.set_result(server)
        await server.wait_closed()

    async with serve(handler, "127.0.0.1", 0, max_size=None) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with connect(
            f"ws://127.0.0.1:{port}",
            compression=None,
            max_size=LARGEST,
            create_connection=TextConnection,
        ) as client:
            assert isinstance(client, TextConnection)
            yield Talk(client, await arrived)


def frames(*parts: tuple[Opcode, bytes, bool]) -> bytes:
    """As a server writes them."""
    return b"".join(Frame(opcode, body, fin).serialize(mask=False) for opcode, body, fin in parts)


EVERYTHING = frames(
    (Opcode.TEXT, b"one", True),
    (Opcode.TEXT, b"", True),
    (Opcode.PING, b"p", True),
    (Opcode.TEXT, b"in ", False),
    (Opcode.PONG, b"", True),
    (Opcode.CONT, b"three ", False),
    (Opcode.CONT, b"parts", True),
    (Opcode.TEXT, b"y" * 200, True),
    (Opcode.BINARY, b"binary", True),
    (Opcode.TEXT, b"last", True),
)
MESSAGES = [b"one", b"", b"in three parts", b"y" * 200, b"binary", b"last"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 50, 150, 1000])
async def test_messages_come_whole_however_they_are_cut(size: int) -> None:
    """Whole, in fragments, between control frames, in pieces of any size: each once, in order."""
    async with talk() as scene:
        scene.listen()
        for start in range(0, len(EVERYTHING), size):
            scene.client.data_received(EVERYTHING[start : start + size])
        assert scene.heard == MESSAGES


async def test_messages_that_come_before_anybody_listens_are_kept() -> None:
    """Even those that come with the answer to the handshake."""
    async with talk() as scene:
        scene.client.data_received(EVERYTHING)
        scene.listen()
        assert scene.heard == MESSAGES


async def test_texts_written_together_arrive_one_by_one() -> None:
    """Of any length, in their order."""
    texts = [b"z" * size for size in (0, 1, 125, 126, 65_535, 65_536)]
    async with talk() as scene:
        assert scene.client.may_write()
        scene.client.write_texts(texts)
        assert [await scene.server.recv(decode=False) for _ in texts] == texts


async def test_the_driver_answers_pings_and_hears_pongs() -> None:
    """Keep-alive works in both directions."""
    async with talk() as scene:
        for side in (scene.client, scene.server):
            assert await (await side.ping()) >= 0


@pytest.mark.parametrize(
    ("mistake", "code"),
    [
        (frames((Opcode.TEXT, b"x" * (LARGEST + 1), True)), 1009),
        (frames((Opcode.TEXT, b"x" * LARGEST, False), (Opcode.CONT, b"x", True)), 1009),
        (Frame(Opcode.TEXT, b"masked").serialize(mask=True), 1002),
        (frames((Opcode.CONT, b"of nothing", True)), 1002),
        (frames((Opcode.TEXT, b"begun", False), (Opcode.TEXT, b"another", True)), 1002),
    ],
    ids=["too large", "too large in pieces", "masked", "goes on with nothing", "interrupted"],
)
async def test_a_mistake_of_the_server_closes_the_connection(mistake: bytes, code: int) -> None:
    """With the driver's code; what came before it was handed over, what comes after is not."""
    async with talk() as scene:
        scene.listen()
        before, after = frames((Opcode.TEXT, b"fine", True)), frames((Opcode.TEXT, b"late", True))
        scene.client.data_received(before + mistake + after)
        await scene.server.wait_closed()
        assert (scene.server.close_code, scene.heard) == (code, [b"fine"])


async def test_a_server_that_closes_is_heard_to_the_end() -> None:
    """A close frame ends the connection with its code, after the messages before it."""
    async with talk() as scene:
        scene.listen()
        await scene.server.send("last words")
        await scene.server.close(1012)
        await scene.client.wait_closed()
        assert (scene.client.close_code, scene.heard) == (1012, [b"last words"])
        assert not scene.client.may_write()


async def _fill(scene: Talk, until: Callable[[], bool]) -> None:
    while not until():
        scene.client.write_texts([b"x" * 1_000_000])
        await asyncio.sleep(0)


async def test_it_says_when_writing_is_possible_again() -> None:
    """While the other side does not read, nothing more should be written."""
    async with talk() as scene:
        scene.listen()
        scene.server.transport.pause_reading()
        await _fill(scene, lambda: not scene.client.may_write())
        scene.server.transport.resume_reading()
        await scene.writable.wait()
        assert scene.client.may_write()


async def test_nothing_is_written_into_the_fragments_of_another_message() -> None:
    """While a message goes out in fragments, texts wait for its end."""
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def fragments() -> AsyncIterator[str]:
        yield "begun "
        begun.set()
        await goes_on.wait()
        yield "and ended"

    async with talk() as scene:
        scene.listen()
        sending = asyncio.create_task(scene.client.send(fragments()))
        await begun.wait()
        assert not scene.client.may_write()
        goes_on.set()
        await scene.writable.wait()
        assert scene.client.may_write()
        await sending
        assert await scene.server.recv() == "begun and ended"
