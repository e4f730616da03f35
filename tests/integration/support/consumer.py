"""The real client against a development Plugboard, for the tests of the client."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

from pydantic import SecretStr

from core.action_registry import ActionRegistry
from core.action_runner import ActionRunner
from core.concurrency.backoff import Backoff
from core.concurrency.helper_process import Offload, call_inline
from core.concurrency.thread_pool import BlockingPool
from core.interfaces import AnswerRelay
from core.phoenix.channel import Channel
from core.plugboard.client import TOPIC, PlugboardClient
from core.plugboard.handshake import handshake_url
from core.plugboard.session import Limits
from core.rpc.concurrency_limiter import ConcurrencyLimiter
from core.rpc.dispatcher import Dispatcher
from core.rpc.request_handler import REPLY_FORMATS, RequestLimits
from core.secrets.credentials import Credentials
from devstack.plugboard import ConsumerConnection, PlugboardSettings, Variant
from tests.integration.support.plugboard_scene import PATIENCE, Scene, plugboard
from tests.unit.support.recording_records import RecordingRecords

SOON = Backoff(first=0.01, cap=0.05)


class Attempts:
    """Counts the pauses of a client between two attempts to connect; given to it as a jitter."""

    def __init__(self) -> None:
        self.count = 0
        self._more = asyncio.Event()
        self.backoff = Backoff(first=0.001, cap=0.01, jitter=self)

    def __call__(self) -> float:
        self.count += 1
        self._more.set()
        return 0.0

    async def further(self, number: int) -> None:
        """Return when so many more attempts have failed."""
        wanted = self.count + number
        async with asyncio.timeout(PATIENCE):
            while self.count < wanted:
                self._more.clear()
                await self._more.wait()


class Consumer:
    """A running client of a scene's service."""

    def __init__(self, scene: Scene, client: PlugboardClient, records: RecordingRecords) -> None:
        self.scene = scene
        self.board = scene.board
        self.client = client
        self.records = records
        self.running = asyncio.create_task(client.run())

    async def joined(self) -> ConsumerConnection:
        """The Plugboard's end of the client's connection, as soon as both ends have joined."""
        [connection] = await self.board.wait_joined(self.scene.service)
        await self.hears(connection)
        return connection

    async def hears(self, connection: ConsumerConnection) -> None:
        """Return when the client has dealt with all that was sent to it so far."""
        before, ref = len(connection.received), f"hears-{uuid.uuid4()}"
        connection.push("request", {"action": "?", "fields": {}, "response_ref": ref})
        await self.board.wait_for(
            lambda: any(ref in str(frame) for frame in connection.received[before:])
        )

    async def ask(self, action: object, **fields: Any) -> tuple[int, Any]:
        """Status and body of a request through the Plugboard's HTTP door."""
        answer = await self.scene.post(action=action, fields=fields)
        return answer.status_code, answer.json()

    async def fields(self, action: object, **fields: Any) -> Any:
        """The fields that a request is answered with, without HTTP."""
        async with asyncio.timeout(PATIENCE):
            return (await self.board.request(self.scene.service, action, fields))["fields"]

    async def serves(self) -> None:
        """Fails unless the client is joined, or joins soon, and answers."""
        await self.joined()
        assert await self.fields("Echo", text="x") == {"text": "x"}

    async def ended(self) -> None:
        """Return when the client has stopped by itself."""
        async with asyncio.timeout(PATIENCE):
            await self.running


@asynccontextmanager
async def consumer(
    *actions: type[ActionRunner], variant: Variant = Variant.MAIN, **options: Any
) -> AsyncIterator[Consumer]:
    """A board, and a client with these actions that has begun to run.

    Options that are fields of `PlugboardSettings` are for the board, the others for `replica`.
    """
    names = {field.name for field in fields(PlugboardSettings)}
    board = {name: options.pop(name) for name in names & options.keys()}
    async with (
        plugboard(variant=variant, **board) as scene,
        replica(scene, *actions, **options) as running,
    ):
        yield running


@asynccontextmanager
async def replica(
    scene: Scene,
    *actions: type[ActionRunner],
    vsn: str = "2.0.0",
    at_once: int = 64,
    waiting: int = 256,
    timeout: float = 25.0,
    reply_format: str = "auto",
    heartbeat: tuple[float, float] = (30.0, 10.0),
    fields_bytes: int = 8_000_000,
    threads: int = 2,
    reconnect: Backoff = SOON,
    rejoin: Backoff = SOON,
    token: str | None = None,
    websocket_url: str | None = None,
    relay: AnswerRelay | None = None,
    pipeline: Any = None,
    leave_seconds: float = 2.0,
    offload: Offload = call_inline,
    events: Iterable[type[ActionRunner]] = (),
) -> AsyncIterator[Consumer]:
    """A client with these actions that has begun to run at the scene's board.

    `events` replace the classes of the same names in `events/`.
    """
    records, pool = RecordingRecords(), BlockingPool(threads)
    client = PlugboardClient(
        url_for=lambda value: handshake_url(
            websocket_url or scene.board.websocket_url, value, published(actions), vsn
        ),
        credentials=Credentials(SecretStr(token or scene.token.value)),
        channel=Channel(
            TOPIC,
            vsn=vsn,
            heartbeat_interval=heartbeat[0],
            heartbeat_timeout=heartbeat[1],
            rejoin=rejoin,
        ),
        dispatcher=Dispatcher(
            {cls.discriminator(): cls for cls in actions},
            run_blocking=pool.run,
            offload=offload,
        ),
        limiter=ConcurrencyLimiter(max_running=at_once, max_waiting=waiting),
        events={
            **ActionRegistry.discover("events"),
            **{cls.discriminator(): cls for cls in events},
        },
        reply_format=REPLY_FORMATS[reply_format],
        reconnect=reconnect,
        records=records,
        limits=Limits(leave_seconds=leave_seconds),
        request_limits=RequestLimits(timeout, fields_bytes),
        relay=relay,
        pipeline=pipeline,
        offload=offload,
    )
    running = Consumer(scene, client, records)
    try:
        yield running
    finally:
        await client.leave(0)
        running.running.cancel()
        await asyncio.gather(running.running, return_exceptions=True)
        pool.close()


def published(actions: Iterable[type[ActionRunner]]) -> dict[str, Any]:
    """What the client offers."""
    return ActionRegistry(actions).to_dict()
