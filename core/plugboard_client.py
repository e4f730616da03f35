"""The client of the Plugboard: the only file that knows WebSockets.

The read loop hands every text to the channel and waits for nothing else. Requests run in tasks of
their own and leave their answers in the outbox; one task writes what the channel has to send.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from core import channel_effects as effects
from core.action_runner import ActionRunner
from core.alarm import Alarm
from core.backoff import Backoff
from core.channel import Channel
from core.channel_states import State
from core.dispatch import Dispatcher
from core.errors import UnavailableError
from core.event_router import EventRouter
from core.outbound import Outbox
from core.ports import Client, Pipeline, Records
from core.replies import ReplyFormat
from core.request_desk import RequestDesk
from core.responder import Responder
from schemas.service import Service
from schemas.token import Token

log = logging.getLogger(__name__)

TOPIC = "service"
HEALTHY_AFTER = 60.0
"""Seconds of being connected after which the next reconnect starts with the shortest pause."""
LEAVE_TIMEOUT = 2.0
"""Seconds the Plugboard gets to confirm a leave, and again to close the socket."""
REFUSED = (
    "the Plugboard refused the connection (403): the token is wrong, deleted or expired, or "
    "consumers with other actions are joined"
)


class PlugboardClient(Client):
    """Stays connected to the Plugboard and answers its requests.

    `service`, `token` and `num_consumers` are what the Plugboard last said; `retired` says why the
    client has left for good, if it has.
    """

    def __init__(
        self,
        *,
        url: str,
        channel: Channel,
        dispatcher: Dispatcher,
        desk: RequestDesk,
        events: Mapping[str, type[ActionRunner]],
        reply_format: ReplyFormat,
        reconnect: Backoff,
        records: Records,
        pipeline: Pipeline | None = None,
        max_frame_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        """Everything is given by the assembly; nothing connects before `run`."""
        self.service: Service | None = None
        self.token: Token | None = None
        self.num_consumers = 0
        self.retired: str | None = None
        self._records = records
        self._pipeline = pipeline
        self._url = url
        self._channel = channel
        self._reconnect = reconnect
        self._max_frame_bytes = max_frame_bytes
        self._to_write = asyncio.Event()
        self._outbox = Outbox(channel)
        self._events = EventRouter(events, channel.topic)
        self._responder = Responder(
            dispatcher, desk, reply_format, self._outbox, self._to_write.set
        )
        self._websocket: ClientConnection | None = None
        self._alarm = Alarm(self._tick)
        self._leaving = asyncio.Event()
        self._left = asyncio.Event()
        self._retirement: asyncio.Task[None] | None = None

    # What actions, events and the assembly see

    @property
    def joined(self) -> bool:
        """Whether requests can come in."""
        return self._channel.state is State.JOINED

    @property
    def action_timeout(self) -> float:
        """Seconds that an action gets."""
        return self._responder.action_timeout

    @property
    def records(self) -> Records:
        """Where to write down what the Plugboard says."""
        return self._records

    @property
    def pipeline(self) -> Pipeline:
        """The chain wing.

        Raises:
            UnavailableError: when this service was started without one.
        """
        if self._pipeline is None:
            msg = "this service has no pipeline: set CONSERVER_CONFIG_FILE and REDIS_URL"
            raise UnavailableError(msg)
        return self._pipeline

    def accept(self, action: object, fields: object, response_ref: object) -> None:
        """Take on one request; its answer is sent when it is there, or a 503 at once."""
        self._responder.accept(action, fields, response_ref, self, self._websocket)

    def retire(self, why: str) -> None:
        """The service is no more: `retired` says why, and `run` ends when all have their answer."""
        if self._retirement is None:
            log.error("this consumer retires", extra={"reason": why})
            self.retired = why
            self._retirement = asyncio.create_task(self.leave(self.action_timeout))

    # From the first connection to the last

    async def run(self) -> None:
        """Connect, serve, and connect again whenever that ends, until `leave` or `retire`."""
        failures = 0
        while not self._leaving.is_set():
            began = self._now()
            await self._serve_once()
            if self._now() - began >= HEALTHY_AFTER:
                failures = 0
            await _at_most(self._reconnect.wait(failures), self._leaving.wait())
            failures += 1

    async def leave(self, grace: float) -> None:
        """Take on nothing more, finish within `grace` seconds what was taken on, and close.

        Requests that come in meanwhile, and those that are not finished, are answered with 503.
        """
        self._leaving.set()
        await self._responder.close(grace)
        websocket = self._websocket
        if websocket is not None:
            self._after(self._channel.leave(self._now()))
            await _at_most(LEAVE_TIMEOUT, self._left.wait())
            await websocket.close()

    async def _serve_once(self) -> None:
        try:
            async with connect(
                self._url,
                compression=None,
                max_size=self._max_frame_bytes,
                max_queue=None,
                close_timeout=LEAVE_TIMEOUT,
            ) as websocket:
                await self._converse(websocket)
        except InvalidStatus as error:
            status = error.response.status_code
            log.warning(REFUSED if status == 403 else f"the Plugboard answered HTTP {status}")
        except ConnectionClosed as error:
            code = error.rcvd.code if error.rcvd else 1006
            log.warning("the connection to the Plugboard was lost", extra={"code": code})
        except (OSError, WebSocketException) as error:
            # no traceback and no text: the driver's messages may hold the URL, and so the token
            log.warning("no connection to the Plugboard", extra={"cause": type(error).__name__})

    async def _converse(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self._after(self._channel.opened(self._now()))
        writer = asyncio.create_task(self._write(websocket))
        try:
            async for text in websocket:
                self._after(self._channel.received(text, self._now()))
        finally:
            self._websocket = None
            writer.cancel()
            self._after(self._channel.closed("socket closed"))
            self._outbox.disconnected()

    async def _write(self, websocket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # the read loop notices and says so
            while True:
                await self._to_write.wait()
                self._to_write.clear()
                with self._outbox.draining() as texts:
                    for text in texts:
                        await websocket.send(text, text=True)

    # What the channel says

    def _after(self, happened: effects.Effects) -> None:
        """What every call of the channel is followed by."""
        for effect in happened:
            self._handle(effect)
        self._to_write.set()
        self._alarm.set(self._channel.next_deadline())

    def _tick(self) -> None:
        self._after(self._channel.tick(self._now()))

    def _handle(self, effect: effects.Effect) -> None:
        match effect:
            case effects.EventReceived(event, payload, ref):
                self._events.route(event, payload, ref, self, self._websocket)
            case effects.Joined(response):
                self._on_joined(response)
            case effects.Dropped() | effects.ReplyReceived():
                log.debug("nothing to do: %s", effect)
            case effects.Left():
                log.info("channel: %s", effect)
                self._left.set()
            case _:
                log.warning("channel: %s", effect)
        if isinstance(effect, effects.HeartbeatMissed) and self._websocket is not None:
            self._websocket.transport.abort()

    def _on_joined(self, response: Mapping[str, Any]) -> None:
        told = {"status": "ok", "response": response}
        self._events.route("phx_reply", told, None, self, self._websocket)
        service = self.service.name if self.service else None
        log.info("joined", extra={"service": service, "consumers": self.num_consumers})
        self._outbox.joined(self._now())

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


async def _at_most(seconds: float, waiting: Awaitable[object]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await waiting
