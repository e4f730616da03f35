"""From a request to its answer in the outbox: each accepted ref gets one answer, in time."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import orjson
from pydantic_core import to_json, to_jsonable_python

from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.observability import metrics
from core.observability.storable_text import storable
from core.phoenix.large_frames import Unparsed, excess
from core.request_context import LONGEST_ACTION, current_request
from core.rpc.concurrency_limiter import ConcurrencyLimiter
from core.rpc.dispatcher import Dispatcher, incident
from core.rpc.outbox import Answer, Outbox

log = logging.getLogger(__name__)

REMEMBERED_REFS = 4096
"""Fewest answered refs that are remembered, to ignore a request that is pushed twice."""
LONGEST_REF = 1000
"""Characters of a ref; the Plugboard's have 36."""

# Reply formats. Two Plugboards are published: one reads `status` and relays only `message`, the
# other reads `status_code` and relays `message` and `fields`. An answer with all four keys works
# with both; the formats differ in the content of `message`.

MOST_TWICE = 64 * 1024
"""Default of REPLY_TWICE_BYTES: the largest result of a task or flow sent as message and fields."""

type Payload = dict[str, Any]
type ReplyFormat = Callable[[ActionResponse], Payload]


def vera(response: ActionResponse) -> Payload:
    """`message` and `fields` as the action set them."""
    return _payload(response, response.message, response.fields)


def auto(response: ActionResponse, most_twice: int = MOST_TWICE) -> Payload:
    """Like `vera`, but `fields` without a message are sent as the message, too."""
    message = response.fields if response.message is None else response.message
    is_enough = _is_enough(response, most_twice)
    return _payload(response, message, None if is_enough else response.fields)


def _is_enough(response: ActionResponse, most_twice: int) -> bool:
    """True if the fields are too large to be sent as the message and as the fields."""
    is_twice = response.is_sent_once and response.message is None and response.fields is not None
    return is_twice and len(to_json(response.fields, inf_nan_mode="null")) > most_twice


def message(response: ActionResponse) -> Payload:
    """Status code, message and fields inside `message`, which each Plugboard relays."""
    inside = {
        "status_code": response.status_code,
        "message": response.message,
        "fields": response.fields,
    }
    return _payload(response, inside, None)


def _payload(response: ActionResponse, message: Any, fields: Any) -> Payload:
    return {
        "status": response.status,
        "status_code": response.status_code,
        "message": message,
        "fields": fields,
    }


REPLY_FORMATS: dict[str, ReplyFormat] = {"auto": auto, "vera": vera, "message": message}


def reply_format(name: str, most_twice: int) -> ReplyFormat:
    """The format of this name; `auto` sends results above `most_twice` bytes only once."""
    return partial(auto, most_twice=most_twice) if name == "auto" else REPLY_FORMATS[name]


def encode(payload: Payload) -> bytes:
    """Encode the payload as JSON; as `orjson.Fragment` it can be put into a frame.

    Accepts everything that Pydantic can encode: models, sets, times, keys that are not strings.
    Halves of surrogate pairs become U+FFFD.

    Raises:
        ValueError: a value cannot be encoded.
    """
    try:
        return orjson.dumps(payload)
    except TypeError:
        pass
    try:
        return to_json(payload, inf_nan_mode="null")
    except ValueError:  # half a surrogate pair, or a value that Pydantic cannot encode
        return orjson.dumps(storable(to_jsonable_python(payload)))


class RequestLimits(NamedTuple):
    """Limits of one request."""

    seconds: float
    """From its receipt to its answer."""
    fields_bytes: int = 8_000_000
    """Size of its fields as compact JSON."""
    remembered_refs: int = REMEMBERED_REFS


class _Request:
    """A request that is not answered; `task` is None until it is started."""

    __slots__ = ("action", "is_suspended", "received_at", "task")

    def __init__(self, action: object, received_at: float) -> None:
        self.action = action
        self.received_at = received_at
        self.task: asyncio.Task[Any] | None = None
        self.is_suspended = False


class RequestHandler:
    """Accepts requests and answers them; no call waits for an action, except `close`."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        limiter: ConcurrencyLimiter,
        limits: RequestLimits,
        reply_format: ReplyFormat,
        outbox: Outbox,
        answered: Callable[[], None],
    ) -> None:
        """`answered` is called after each answer put into the outbox."""
        self._dispatcher = dispatcher
        self._limiter = limiter
        self._limits = limits
        self._reply_format = reply_format
        self._outbox = outbox
        self._answered = answered
        self._unanswered: dict[str, _Request] = {}  # in the order of receipt
        self._recent: set[str] = set()
        self._older: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def accept(
        self,
        action: object,
        fields: object,
        response_ref: object,
        client: Any,
        websocket: Any,
        frame_bytes: int = 0,
        held_bytes: int = 0,
    ) -> None:
        """Start or queue one request; if it is refused, its answer is sent at once.

        `frame_bytes` is the length of its frame, `held_bytes` the memory of the parsed request.
        A request is dropped if it has no valid ref, or if its ref was seen before.
        """
        if not isinstance(response_ref, str) or len(response_ref) > LONGEST_REF:
            metrics.WITHOUT_REF.inc()
            log.warning("request without ref dropped")
            return
        if self._knows(response_ref):
            metrics.DUPLICATE_REFS.inc()
            return
        self._receive(response_ref, action)
        if isinstance(fields, Unparsed) and frame_bytes > self._limits.fields_bytes:
            fields = fields._replace(most=self._limits.fields_bytes)
        if self._closed:
            metrics.REFUSED_STOPPING.inc()
            self._answer(response_ref, _busy("this replica is stopping"))
        elif frame_bytes > self._limits.fields_bytes and (excess := self._excess(action, fields)):
            self._answer(response_ref, ActionResponse(status_code=413, message=excess))
        elif not self._limiter.submit(
            partial(self._work, action, fields, response_ref, client, websocket), held_bytes
        ):
            metrics.REFUSED_FULL.inc()
            self._answer(response_ref, _busy("too many requests are waiting"))

    def _knows(self, ref: str) -> bool:
        return ref in self._unanswered or ref in self._recent or ref in self._older

    def _receive(self, ref: str, action: object) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._unanswered[ref] = _Request(action, now)
        if self._timer is None:
            self._timer = loop.call_at(now + self._limits.seconds, self._sweep)

    def _excess(self, action: object, fields: object) -> str:
        if isinstance(fields, Unparsed) or self._dispatcher.limits_size(action):
            return ""  # the dispatcher checks the fields that are not parsed yet
        return excess(fields, self._limits.fields_bytes)

    def parses(self, action: object) -> bool:
        """See `Dispatcher.parses`."""
        return self._dispatcher.parses(action)

    async def close(self, grace: float) -> None:
        """Answer new requests 503, and those not finished within `grace` seconds as well.

        May be called again; the shorter grace counts.
        """
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._limiter.wait_until_idle()
        self._limiter.cancel_all()
        for ref in list(self._unanswered):
            self._answer(ref, _busy("this replica stopped before the action had ended"))
        if self._timer is not None:
            self._timer.cancel()

    async def _work(
        self, action: object, fields: object, ref: str, client: Any, websocket: Any
    ) -> None:
        request = self._unanswered.get(ref)
        if request is None:  # answered 504 while it waited
            return
        request.task = asyncio.current_task()
        current_request.set((ref, action))
        self._answer(ref, await self._dispatcher.answer(action, fields, client, websocket))

    def _answer(self, ref: str, response: ActionResponse) -> None:
        request = self._unanswered.pop(ref, None)
        if request is None:  # answered already, for example 504
            return
        self._remember(ref)
        instead = orjson.Fragment(self._text(_SECRET_LOST)) if response.has_secret else None
        text = self._text(response)
        payload, received_at = orjson.Fragment(text), request.received_at
        self._outbox.send(Answer(ref, payload, received_at, instead, len(text)))
        self._answered()
        took = asyncio.get_running_loop().time() - request.received_at
        metrics.REQUESTS.ended((request.action, response.status_code), took)

    def _remember(self, ref: str) -> None:
        if len(self._recent) >= self._limits.remembered_refs:
            self._older, self._recent = self._recent, set()
        self._recent.add(ref)

    def _text(self, response: ActionResponse) -> bytes:
        try:
            return encode(self._reply_format(response))
        except Exception:  # noqa: BLE001 -- the response may hold any object
            return encode(self._reply_format(incident("an answer that is not JSON")))

    @property
    def actions(self) -> dict[str, type[ActionRunner]]:
        """The actions by name; a copy."""
        return self._dispatcher.actions

    # Deadlines

    @property
    def seconds(self) -> float:
        """Seconds from the receipt of a request to its answer, at most."""
        return self._limits.seconds

    def seconds_left(self) -> float:
        """Seconds until the request of the calling action is answered 504."""
        request = self._present()
        if request is None:
            return self._limits.seconds
        now = asyncio.get_running_loop().time()
        return max(0.0, request.received_at + self._limits.seconds - now)

    def _present(self) -> _Request | None:
        ref, _ = current_request.get() or ("", None)
        return self._unanswered.get(ref)

    @contextlib.contextmanager
    def giving_way(self) -> Iterator[None]:
        """Inside, the request of the calling action does not count as running."""
        request = self._present()
        if request is None or request.is_suspended or not self._limiter.suspend():
            yield
            return
        request.is_suspended = True
        try:
            yield
        finally:
            request.is_suspended = False
            self._limiter.resume()

    def _sweep(self) -> None:
        """Answer 504 to requests past their deadline.

        One timer is enough, because all have the same limit and are kept in order of receipt.
        """
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._unanswered:
            ref, request = next(iter(self._unanswered.items()))
            due = request.received_at + self._limits.seconds
            if due > loop.time():
                self._timer = loop.call_at(due, self._sweep)
                return
            self._expire(ref, request)

    def _expire(self, ref: str, request: _Request) -> None:
        seconds, name = self._limits.seconds, request.action
        about = {"ref": ref, "seconds": seconds}
        if isinstance(name, str):
            about["action"] = name[:LONGEST_ACTION]
        if request.task is None:
            metrics.EXPIRED.inc()
            log.warning("request waited too long", extra=about)
            self._answer(ref, _too_late(f"waited {seconds:g} s and was not run"))
            return
        log.warning("action took too long", extra=about)
        self._answer(ref, _too_late(f"{name} took longer than {seconds:g} s"))
        request.task.cancel()


def _busy(error: str) -> ActionResponse:
    return ActionResponse(status_code=503, message=f"{error}; try again later")


def _too_late(error: str) -> ActionResponse:
    return ActionResponse(status_code=504, message=error)


_SECRET_LOST = ActionResponse(
    status_code=503,
    message="The key was created, but the replica stopped before returning its secret; revoke it "
    "and create another",
)
