"""The client of the Plugboard: stays connected, and is what actions and events see of it.

Requests run in tasks of their own and leave their answers in the outbox.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.backoff import Backoff
from core.credentials import Credentials
from core.errors import UnavailableError
from core.helper_process import Offload, call_inline
from core.interfaces import AnswerRelay, Client, Pipeline, Records
from core.observability import metrics
from core.observability.logs import keep_secret
from core.phoenix import events as effects
from core.phoenix.channel import Channel
from core.phoenix.large_frames import Unparsed
from core.phoenix.lenient_json import parsed_bytes
from core.phoenix.lifecycle import State
from core.plugboard.answer_handover import AnswerHandover
from core.plugboard.reconnect import ReconnectPolicy
from core.plugboard.session import Limits, PlugboardSession
from core.rpc.concurrency_limiter import ConcurrencyLimiter
from core.rpc.dispatcher import Dispatcher
from core.rpc.event_router import EventRouter
from core.rpc.outbox import Outbox
from core.rpc.request_handler import ReplyFormat, RequestHandler, RequestLimits, encoded
from schemas.service import Service
from schemas.token import Token, in_use

# What of a channel's reports is counted.

log = logging.getLogger(__name__)


def count(effect: effects.Effect) -> None:
    """Count it, if it is something that is counted."""
    match effect:
        case effects.HeartbeatMissed():
            metrics.HEARTBEATS_MISSED.inc()
        case effects.JoinRefused():
            metrics.JOINS_REFUSED.inc()
        case effects.Dropped(reason=effects.DropReason.MALFORMED):
            metrics.MALFORMED.inc()
            log.warning("dropped malformed frame", extra={"error": effect.detail})


TOPIC = "service"
NOT_HANDED_OVER = ActionResponse(
    status_code=503,
    message="it was done, but its answer was too large to be handed over by a replica that left",
)
LEAVE_TIMEOUT = 2.0
"""Seconds the Plugboard gets to confirm a leave."""


class PlugboardClient(Client):
    """Stays connected to the Plugboard and answers its requests.

    `service`, `token` and `num_consumers` are what the Plugboard last said; `retired` says why the
    client has left for good, if it has.
    """

    service: Service | None = None
    token: Token | None = None
    num_consumers = 0
    retired: str | None = None

    def __init__(
        self,
        *,
        url_for: Callable[[str], str],
        credentials: Credentials,
        channel: Channel,
        dispatcher: Dispatcher,
        limiter: ConcurrencyLimiter,
        events: Mapping[str, type[ActionRunner]],
        reply_format: ReplyFormat,
        reconnect: Backoff,
        records: Records,
        limits: Limits,
        request_limits: RequestLimits,
        pipeline: Pipeline | None = None,
        relay: AnswerRelay | None = None,
        offload: Offload = call_inline,
    ) -> None:
        """Everything is given by the assembly; nothing connects before `run`.

        `url_for` gives the URL to connect to with a token's value; `offload` reads large messages
        that cannot be split.
        """
        self.credentials = credentials
        self._records = records
        self._pipeline = pipeline
        self._url_for = url_for
        self._channel = channel
        self._reconnect_policy = ReconnectPolicy(reconnect, credentials)
        self._outbox = Outbox(channel, limits.unread_bytes)
        self._events = EventRouter(events, channel.topic)
        self._accepts_requests = bool(vars(events.get("request", object)).get("only_accepts"))
        self._session = PlugboardSession(channel, self._outbox, self._handle, limits, offload)
        answers = self._outbox, self._session.wake
        self._requests = RequestHandler(dispatcher, limiter, request_limits, reply_format, *answers)
        refusal = encoded(reply_format(NOT_HANDED_OVER)), limits.handover_bytes
        self._handover = AnswerHandover(relay, *answers, *refusal)
        self._leaving = asyncio.Event()
        self._left = asyncio.Event()
        self._retirement: asyncio.Task[None] | None = None

    # What actions, events and the assembly see

    @property
    def joined(self) -> bool:
        """Whether requests can come in."""
        return self._channel.state is State.JOINED

    @property
    def actions(self) -> dict[str, type[ActionRunner]]:
        """The actions on offer by name; a copy."""
        return self._requests.actions

    @property
    def events(self) -> dict[str, type[ActionRunner]]:
        """The event classes by their names on the wire; a copy."""
        return self._events.known

    @property
    def connected(self) -> bool:
        """Whether there is a connection, joined or not."""
        return self._session.websocket is not None

    @property
    def action_timeout(self) -> float:
        """Seconds that a request gets, from its receipt to its answer."""
        return self._requests.seconds

    def seconds_left(self) -> float:
        """Of those, what is left to the present request."""
        return self._requests.seconds_left()

    def giving_way(self) -> AbstractContextManager[None]:
        """Inside, the present request takes up no room among those that run."""
        return self._requests.giving_way()

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
        websocket, text = self._session.websocket, self._session.heard
        self._requests.accept(
            *(action, fields, response_ref, self, websocket, len(text)),
            held_bytes=self._held_bytes(action, fields, text),
        )

    def _held_bytes(self, action: object, fields: object, text: bytes) -> int:
        """What a request takes up: its text, if that is not parsed in this process."""
        if isinstance(fields, Unparsed) and not self._requests.parses(action):
            return len(text)
        return parsed_bytes(text)

    def retire(self, why: str) -> None:
        """The service is no more: `retired` says why, and `run` ends when all have their answer."""
        if self._retirement is None:
            log.error("retiring", extra={"error": why})
            self.retired = why
            self._retirement = asyncio.create_task(self.leave(self.action_timeout))

    # From the first connection to the last

    async def run(self) -> None:
        """Connect, serve, and connect again whenever that ends, until `leave` or `retire`.

        Raises:
            ConfigurationError: when no other try can help, because the handshake is too long.
        """
        serving = asyncio.create_task(self._handover.serve())
        try:
            await self._stay_connected()
        finally:
            serving.cancel()

    async def _stay_connected(self) -> None:
        while True:
            loss = await self._session.hold(self._url_for(self._token_value()))
            if self._leaving.is_set():
                return
            self._reconnect_policy.report(loss)
            await _at_most(self._reconnect_policy.pause(loss, _now()), self._leaving.wait())
            if self._leaving.is_set():
                return
            metrics.RECONNECTS.inc()

    def _token_value(self) -> str:
        value = self.credentials.for_connecting(datetime.now(UTC)).value.get_secret_value()
        keep_secret(value)  # it may be newer than the settings
        return value

    async def leave(self, grace: float) -> None:
        """Take on nothing more, finish within `grace` seconds what was taken on, and close.

        With peers that can send our answers the first thing is to leave. Without, requests that
        come in meanwhile are answered with 503, and so are in any case those not finished in time;
        a connection that is lost before they have their answers is made again. May be called twice;
        the shorter grace counts.
        """
        ends = _now() + grace
        if peers := await self._handover.begin(self.num_consumers, grace):
            await self._leave_topic()
        await self._requests.close(ends - _now())
        await self._handover.finish(ends - _now())
        if not peers:
            await self._leave_topic()
        await self._session.close()

    async def _leave_topic(self) -> None:
        self._leaving.set()
        if self._session.websocket is not None:
            self._session.leave()
            await _at_most(LEAVE_TIMEOUT, self._left.wait())

    # What the channel says

    def _handle(self, effect: effects.Effect) -> None:
        if isinstance(effect, effects.EventReceived):  # first, because every request comes here
            if effect.event == "request" and self._accepts_requests:
                self._accept_event(effect.payload)
            else:
                self._events.route(*effect, self, self._session.websocket)
            return
        if isinstance(effect, _PARTED):
            self._outbox.parted()
            self._handover.parted()
        match effect:
            case effects.Joined(response):
                self._on_joined(response)
            case effects.Dropped() | effects.ReplyReceived() | effects.Disconnected():
                count(effect)
                log.debug("channel report ignored", extra={"error": repr(effect)})
            case effects.Left():
                status = "confirmed" if effect.acknowledged else "unconfirmed"
                log.info("left", extra={"status": status})
                self._left.set()
            case trouble:
                count(trouble)
                if self._reconnect_policy.is_news(trouble):
                    log.warning("channel interrupted", extra={"error": str(trouble)})

    def _accept_event(self, payload: Mapping[str, Any]) -> None:
        try:
            self.accept(payload.get("action"), payload.get("fields"), payload.get("response_ref"))
        except Exception:
            log.exception("event failed", extra={"event_name": "request"})

    def _on_joined(self, response: Mapping[str, Any]) -> None:
        told = {"status": "ok", "response": response}
        self._events.route("phx_reply", told, None, self, self._session.websocket)
        self._reconnect_policy.joined(_now())
        service = self.service.name if self.service else None
        log.info("joined", extra={"service": service, "count": self.num_consumers})
        if self.token is not None:
            self.token = in_use(self.token, self.credentials.present.value)
            metrics.TOKEN_EXPIRES.set(self.token.expires_at.timestamp())
        self._outbox.joined(_now())
        self._handover.joined(self.service.id if self.service else None)


_PARTED = (effects.ChannelCrashed, effects.ChannelClosed, effects.Disconnected, effects.Left)
"""What ends the time in which answers can be sent."""


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _at_most(seconds: float, waiting: Awaitable[object]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await waiting
