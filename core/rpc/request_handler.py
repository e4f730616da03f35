"""From a request to its answer in the outbox: every ref taken on is answered once, and in time."""

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

# What an answer looks like on the wire.
#
# Two Plugboards are published. One wants `status` and relays only `message`; the other wants
# `status_code`, `message` and `fields` and relays those. An answer that carries all four keys
# suits both; the formats differ in what stands in `message`.

MOST_TWICE = 64 * 1024
"""Bytes of the results of tasks and flows that are sent twice unless REPLY_TWICE_BYTES says else:
one published Plugboard relays only the message, and callers of the other read the fields."""

type Payload = dict[str, Any]
type ReplyFormat = Callable[[ActionResponse], Payload]


def vera(response: ActionResponse) -> Payload:
    """The four keys, each as the action set it."""
    return _payload(response, response.message, response.fields)


def auto(response: ActionResponse, most_twice: int = MOST_TWICE) -> Payload:
    """Like `vera`, but fields without a message are the message too, so no Plugboard drops them."""
    message = response.fields if response.message is None else response.message
    is_enough = _is_enough(response, most_twice)
    return _payload(response, message, None if is_enough else response.fields)


def _is_enough(response: ActionResponse, most_twice: int) -> bool:
    """Whether fields that are the message are not sent once more beside it, for their size."""
    is_twice = response.is_sent_once and response.message is None and response.fields is not None
    return is_twice and len(to_json(response.fields, inf_nan_mode="null")) > most_twice


def message(response: ActionResponse) -> Payload:
    """Everything inside `message`, for callers who want code, words and fields on any Plugboard."""
    inside = {
        "status_code": response.status_code,
        "message": response.message,
        "fields": response.fields,
    }
    return _payload(response, inside, None)


def _payload(response: ActionResponse, words: Any, fields: Any) -> Payload:
    return {
        "status": response.status,
        "status_code": response.status_code,
        "message": words,
        "fields": fields,
    }


REPLY_FORMATS: dict[str, ReplyFormat] = {"auto": auto, "vera": vera, "message": message}


def reply_format(name: str, most_twice: int) -> ReplyFormat:
    """The format of this name; `auto` sends results of tasks above so many bytes once."""
    return partial(auto, most_twice=most_twice) if name == "auto" else REPLY_FORMATS[name]


def encoded(payload: Payload) -> bytes:
    """The payload as JSON, made once; as `orjson.Fragment` it is ready to be put into a frame.

    Whatever Pydantic can write as JSON may be in it: models, sets, times, keys that are no text.
    U+FFFD stands for halves of surrogate pairs.

    Raises:
        ValueError: something in it cannot be written.
    """
    try:
        return orjson.dumps(payload)
    except TypeError:
        pass
    try:
        return to_json(payload, inf_nan_mode="null")
    except ValueError:  # half a surrogate pair, or what it cannot write at all
        return orjson.dumps(storable(to_jsonable_python(payload)))


log = logging.getLogger(__name__)

REMEMBERED = 4096
"""How many refs that were answered are known at least. The Plugboard forgets them after 30 s."""


LONGEST_REF = 1000
"""Characters of a ref; thousands are remembered, and the Plugboard's have 36."""


class RequestLimits(NamedTuple):
    """What one request may take."""

    seconds: float
    """From its receipt to its answer."""
    fields_bytes: int = 8_000_000
    """Its fields, as compact JSON."""


class _Request:
    """One that is not answered yet; `task` is what works on it, once something does."""

    __slots__ = ("action", "is_aside", "received_at", "task")

    def __init__(self, action: object, received_at: float) -> None:
        self.action = action
        self.received_at = received_at
        self.task: asyncio.Task[Any] | None = None
        self.is_aside = False


class RequestHandler:
    """Takes on requests and answers them; nothing it does waits for an action."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        limiter: ConcurrencyLimiter,
        limits: RequestLimits,
        reply_format: ReplyFormat,
        outbox: Outbox,
        answered: Callable[[], None],
    ) -> None:
        """`answered` is called whenever there is something new in the outbox."""
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
        """Take on one request; its answer is sent when it is there, or a 503 at once.

        `frame_bytes` is the length of the message that brought it, `held_bytes` the memory that
        what it says takes up.
        """
        if not isinstance(response_ref, str) or len(response_ref) > LONGEST_REF:
            metrics.WITHOUT_REF.inc()
            log.warning("a request without a ref cannot be answered")
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
        elif not self._limiter.take(
            partial(self._work, action, fields, response_ref, client, websocket), held_bytes
        ):
            metrics.REFUSED_FULL.inc()
            self._answer(response_ref, _busy("too many requests wait already"))

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
            return ""  # of what is not parsed yet the dispatcher says so
        return excess(fields, self._limits.fields_bytes)

    def parses(self, action: object) -> bool:
        """See `Dispatcher.parses`."""
        return self._dispatcher.parses(action)

    async def close(self, grace: float) -> None:
        """Finish within `grace` seconds what was taken on; answer the rest, and all new, with 503.

        May be called twice; the shorter grace counts.
        """
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._limiter.idle()
        self._limiter.abandon()
        for ref in list(self._unanswered):
            self._answer(ref, _busy("this replica stopped before it was done"))
        if self._timer is not None:
            self._timer.cancel()

    async def _work(
        self, action: object, fields: object, ref: str, client: Any, websocket: Any
    ) -> None:
        request = self._unanswered.get(ref)
        if request is None:  # its time was over before its turn came
            return
        request.task = asyncio.current_task()
        current_request.set((ref, action))
        self._answer(ref, await self._dispatcher.answer(action, fields, client, websocket))

    def _answer(self, ref: str, response: ActionResponse) -> None:
        request = self._unanswered.pop(ref, None)
        if request is None:  # it was answered when its time was over
            return
        self._remember(ref)
        instead = orjson.Fragment(self._text(_UNTOLD)) if response.has_secret else None
        text = self._text(response)
        payload, received_at = orjson.Fragment(text), request.received_at
        self._outbox.send(Answer(ref, payload, received_at, instead, len(text)))
        self._answered()
        took = asyncio.get_running_loop().time() - request.received_at
        metrics.REQUESTS.ended((request.action, response.status_code), took)

    def _remember(self, ref: str) -> None:
        if len(self._recent) >= REMEMBERED:
            self._older, self._recent = self._recent, set()
        self._recent.add(ref)

    def _text(self, response: ActionResponse) -> bytes:
        try:
            return encoded(self._reply_format(response))
        except Exception:  # noqa: BLE001 -- an action may put anything into it
            return encoded(self._reply_format(incident("an answer that is not JSON")))

    @property
    def actions(self) -> dict[str, type[ActionRunner]]:
        """The actions by name; a copy."""
        return self._dispatcher.actions

    # Time

    @property
    def seconds(self) -> float:
        """What a request gets."""
        return self._limits.seconds

    def seconds_left(self) -> float:
        """Until the present request is answered with 504; to be asked by its action."""
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
        """Inside, the present request takes up no room at the desk; to be used by its action."""
        request = self._present()
        if request is None or request.is_aside or not self._limiter.step_aside():
            yield
            return
        request.is_aside = True
        try:
            yield
        finally:
            request.is_aside = False
            self._limiter.come_back()

    def _sweep(self) -> None:
        """Answer whatever has had its time. One timer does for all, since all get the same."""
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
            log.warning("a request waited too long and is not run", extra=about)
            self._answer(ref, _too_late(f"waited {seconds:g} s for its turn and was not run"))
            return
        log.warning("action took too long", extra=about)
        self._answer(ref, _too_late(f"{name} took longer than {seconds:g} s"))
        request.task.cancel()


def _busy(why: str) -> ActionResponse:
    return ActionResponse(status_code=503, message=f"{why}; try again later")


def _too_late(why: str) -> ActionResponse:
    return ActionResponse(status_code=504, message=why)


_UNTOLD = ActionResponse(
    status_code=503,
    message="it was done, but this replica left before it told the secret; revoke the new key",
)
