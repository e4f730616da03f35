"""The Plugboard client: keeps the service connected; actions and events get it as `client`.

Requests run in tasks of their own, which put their answers into the outbox.
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
from core.concurrency.backoff import Backoff
from core.concurrency.helper_process import Offload, call_inline
from core.errors import UnavailableError
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
from core.rpc.request_handler import ReplyFormat, RequestHandler, RequestLimits, encode
from core.secrets.credentials import Credentials
from schemas.service import Service
from schemas.token import Token, in_use

log = logging.getLogger(__name__)

TOPIC = "service"
NOT_HANDED_OVER = ActionResponse(
    status_code=503,
    message="The action was done, but its answer is too large for the handover by a replica that "
    "stopped",
)
CHANNEL_LOST = (
    effects.ChannelCrashed,
    effects.ChannelClosed,
    effects.Disconnected,
    effects.Left,
)
"""The effects after which answers cannot be sent until the next join."""


class PlugboardClient(Client):
    """Keeps a connection to the Plugboard and answers its requests.

    `service`, `token` and `num_consumers` are the latest values sent by the Plugboard; `retired` is
    the reason why the client left for good, or None.
    """

    service: Service | None = None
    token: Token | None = None
    num_consumers = 0
    retired: str | None = None
    _retirement: asyncio.Task[None] | None = None

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
        """Nothing connects before `run`.

        `url_for` returns the URL to connect to for a token's value; `offload` parses messages that
        cannot be split.
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
        self._requests = RequestHandler(
            dispatcher, limiter, request_limits, reply_format, self._outbox, self._session.wake
        )
        self._handover = self._new_handover(relay, reply_format, limits.handover_bytes)
        self._leave_timeout = limits.leave_seconds
        self._leaving = asyncio.Event()
        self._left = asyncio.Event()

    def _new_handover(
        self, relay: AnswerRelay | None, reply_format: ReplyFormat, max_bytes: int
    ) -> AnswerHandover:
        refusal = encode(reply_format(NOT_HANDED_OVER))
        return AnswerHandover(relay, self._outbox, self._session.wake, refusal, max_bytes)

    # The interface of actions, events and `app`

    @property
    def joined(self) -> bool:
        """True while the Plugboard can send requests."""
        return self._channel.state is State.JOINED

    @property
    def actions(self) -> dict[str, type[ActionRunner]]:
        """The published actions by name; a copy."""
        return self._requests.actions

    @property
    def events(self) -> dict[str, type[ActionRunner]]:
        """The event classes by event name; a copy."""
        return self._events.known

    @property
    def connected(self) -> bool:
        """True while a WebSocket is open, joined or not."""
        return self._session.websocket is not None

    @property
    def action_timeout(self) -> float:
        """Seconds from the receipt of a request to its answer, at most."""
        return self._requests.seconds

    def seconds_left(self) -> float:
        """Seconds that the present request has left."""
        return self._requests.seconds_left()

    def giving_way(self) -> AbstractContextManager[None]:
        """Inside, the present request does not count as running; see `Client.giving_way`."""
        return self._requests.giving_way()

    @property
    def records(self) -> Records:
        """The recorder of services and tokens."""
        return self._records

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline of this service.

        Raises:
            UnavailableError: the service runs without one.
        """
        if self._pipeline is None:
            msg = "this service has no pipeline: set CONSERVER_CONFIG_FILE and REDIS_URL"
            raise UnavailableError(msg)
        return self._pipeline

    def accept(self, action: object, fields: object, response_ref: object) -> None:
        """Start or queue a request; its answer is sent later, or a 503 at once."""
        websocket, text = self._session.websocket, self._session.current_text
        self._requests.accept(
            action,
            fields,
            response_ref,
            self,
            websocket,
            frame_bytes=len(text),
            held_bytes=self._held_bytes(action, fields, text),
        )

    def _held_bytes(self, action: object, fields: object, text: bytes) -> int:
        """Memory of a request: of its text only, if its fields are not parsed in this process."""
        if isinstance(fields, Unparsed) and not self._requests.parses(action):
            return len(text)
        return parsed_bytes(text)

    def retire(self, why: str) -> None:
        """Leave for good, because the service does not exist any more; answers are still sent."""
        if self._retirement is None:
            log.error("retiring", extra={"error": why})
            self.retired = why
            self._retirement = asyncio.create_task(self.leave(self.action_timeout))

    # From the first connection to the last

    async def run(self) -> None:
        """Connect, and connect again after each loss, until `leave` or `retire`.

        Raises:
            ConfigurationError: the handshake is too long, so that no attempt can succeed.
        """
        serving = asyncio.create_task(self._handover.serve())
        try:
            await self._stay_connected()
        finally:
            serving.cancel()

    async def _stay_connected(self) -> None:
        while True:
            reason = await self._session.run(self._url_for(self._token_value()))
            if self._leaving.is_set():
                return
            self._reconnect_policy.report(reason)
            await _at_most(self._reconnect_policy.pause(reason, _now()), self._leaving.wait())
            if self._leaving.is_set():
                return
            metrics.RECONNECTS.inc()

    def _token_value(self) -> str:
        value = self.credentials.for_connecting(datetime.now(UTC)).value.get_secret_value()
        keep_secret(value)  # may be newer than the one in the settings
        return value

    async def leave(self, grace: float) -> None:
        """Stop: finish the running requests within `grace` seconds and close.

        If peers take over the answers, the channel is left first. Otherwise it stays joined until
        the requests are answered, new requests get 503, and a lost connection is made again.
        Requests that are not finished in time get 503. May be called again; the shorter grace
        counts.
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
            await _at_most(self._leave_timeout, self._left.wait())

    # Effects of the channel

    def _handle(self, effect: effects.Effect) -> None:
        if isinstance(effect, effects.EventReceived):  # first, because every request comes here
            if effect.event == "request" and self._accepts_requests:
                self._accept_event(effect.payload)
            else:
                self._events.route(*effect, self, self._session.websocket)
            return
        if isinstance(effect, CHANNEL_LOST):
            self._outbox.channel_lost()
            self._handover.channel_lost()
        match effect:
            case effects.Joined(response):
                self._on_joined(response)
            case effects.Left(acknowledged):
                log.info("left", extra={"status": "confirmed" if acknowledged else "unconfirmed"})
                self._left.set()
            case _:
                self._report(effect)

    def _accept_event(self, payload: Mapping[str, Any]) -> None:
        try:
            self.accept(payload.get("action"), payload.get("fields"), payload.get("response_ref"))
        except Exception:
            log.exception("event failed", extra={"event_name": "request"})

    def _report(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Dropped(effects.DropReason.MALFORMED, detail):
                metrics.MALFORMED.inc()
                log.warning("dropped malformed frame", extra={"error": detail})
            case effects.Dropped() | effects.ReplyReceived() | effects.Disconnected():
                log.debug("effect ignored", extra={"error": repr(effect)})
            case problem:
                _count(problem)
                if self._reconnect_policy.is_new(problem):
                    _log(problem)

    def _on_joined(self, response: Mapping[str, Any]) -> None:
        reply = {"status": "ok", "response": response}
        self._events.route("phx_reply", reply, None, self, self._session.websocket)
        self._reconnect_policy.joined(_now())
        service = self.service.name if self.service else None
        log.info("joined", extra={"service": service, "count": self.num_consumers})
        if self.token is not None:
            self.token = in_use(self.token, self.credentials.current.value)
            metrics.TOKEN_EXPIRES.set(self.token.expires_at.timestamp())
        self._outbox.joined(_now())
        self._handover.joined(self.service.id if self.service else None)


def _count(problem: effects.Effect) -> None:
    match problem:
        case effects.HeartbeatMissed():
            metrics.HEARTBEATS_MISSED.inc()
        case effects.JoinRefused():
            metrics.JOINS_REFUSED.inc()


def _log(problem: effects.Effect) -> None:
    match problem:
        case effects.JoinRefused(reason):
            log.warning("join refused", extra={"error": reason})
        case effects.JoinTimedOut():
            log.warning("join timed out")
        case effects.ChannelCrashed():
            log.warning("channel crashed")
        case effects.ChannelClosed():
            log.warning("channel closed by the Plugboard")
        case effects.HeartbeatMissed():
            log.warning("heartbeat missed")


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _at_most(seconds: float, waiting: Awaitable[object]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await waiting
