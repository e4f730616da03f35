"""From a request to its response: find the action, validate the fields, run it, map errors.

`Dispatcher.answer` returns a response for each outcome; it raises only its own cancellation.
"""

import asyncio
import inspect
import logging
import time
import types
import uuid
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, override

from pydantic import ValidationError

from core import request_context
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.concurrency.helper_process import Offload, call_inline
from core.errors import InvalidError, PatchcordError, TooLargeError, status_of
from core.observability.loop_watch import BLOCKED_AFTER
from core.observability.metrics import UNKNOWN
from core.observability.redaction import KNOWN
from core.observability.tracing import Spans, installed
from core.phoenix.large_frames import Unparsed, excess_of_text, fields_of
from core.phoenix.lenient_json import UNREADABLE, Unreadable
from core.request_context import request_secrets

log = logging.getLogger(__name__)

MOST_PROBLEMS = 20
"""Invalid fields that an answer names at most."""
MOST_UNKNOWN = 10_000
"""Unknown fields that are validated at most; with more the request is refused before."""
LONGEST_NAME = 100
"""Characters of a name given by the caller that an answer repeats."""
LONGEST_PROBLEM = 200
"""Characters of Pydantic's message, which may quote the value."""

type RunBlocking = Callable[[Callable[[], Any]], Awaitable[Any]]


class Dispatcher:
    """Turns requests into answers with one set of actions."""

    def __init__(
        self,
        actions: Mapping[str, type[ActionRunner]],
        *,
        run_blocking: RunBlocking,
        offload: Offload = call_inline,
    ) -> None:
        """`run_blocking` runs a function in a thread; `offload` measures large fields."""
        self._actions = dict(actions)  # faster than other mappings
        self._blocking = frozenset(
            action for action in actions.values() if not inspect.iscoroutinefunction(action.run)
        )
        self._secret = {each: names for each in actions.values() if (names := each.secret_names())}
        self._run_blocking = run_blocking
        self._offload = offload

    @property
    def actions(self) -> dict[str, type[ActionRunner]]:
        """The actions by name; a copy."""
        return dict(self._actions)

    def limits_size(self, name: object) -> bool:
        """True if this action checks the size of its fields itself."""
        action = self._actions.get(name) if isinstance(name, str) else None
        return action is not None and action.limits_size

    def parses(self, name: object) -> bool:
        """True if large fields of this action are parsed in this process."""
        action = self._actions.get(name) if isinstance(name, str) else None
        return action is not None and not action.text_fields

    async def answer(
        self, name: object, fields: object, client: Any, websocket: Any
    ) -> ActionResponse:
        """The response to one request; errors of the action become responses, too."""
        if isinstance(name, Unreadable):
            return ActionResponse(status_code=400, message=UNREADABLE.format(name.why))
        action = self._actions.get(name) if isinstance(name, str) else None
        if action is None:
            return ActionResponse(status_code=404, message=f"Unknown action: {_shown(name)}")
        try:
            return _without_secrets(await self._outcome(action, fields, client, websocket))
        except PatchcordError as error:
            return _expected(action.discriminator(), error)
        except (Exception, SystemExit, GeneratorExit):  # noqa: BLE001 -- the log gets the traceback
            return incident(action.discriminator())
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            return incident(action.discriminator())

    async def _outcome(
        self, action: type[ActionRunner], fields: object, client: Any, websocket: Any
    ) -> ActionResponse:
        if isinstance(fields, Unreadable):
            raise InvalidError(UNREADABLE.format(fields.why))
        if isinstance(fields, Unparsed):
            return await self._outcome(
                action, await self._parsed(action, fields), client, websocket
            )
        if secret := self._secret.get(action):
            request_secrets.set(tuple(_values(fields, secret)))
        try:
            _check_number(action, fields)
            request = action.model_validate(fields)
        except ValidationError as error:
            raise InvalidError(explain(action, error, fields)) from None
        outcome = await self._run(action, request, client, websocket)
        if not isinstance(outcome, ActionResponse):
            msg = f"run() returned {type(outcome).__name__} instead of an ActionResponse"
            raise TypeError(msg)
        return outcome

    async def _parsed(self, action: type[ActionRunner], fields: Unparsed) -> object:
        text, most = fields
        if most is not None and not action.limits_size:
            excess = await self._offload(excess_of_text, text, most)
            if excess:
                raise TooLargeError(excess)
        return fields_of(text, action.text_fields, action.only_names())

    def _run(
        self, action: type[ActionRunner], request: ActionRunner, client: Any, websocket: Any
    ) -> Awaitable[Any]:
        run: Callable[[Any, Any], Any] = request.run
        if action in self._blocking:
            return self._run_blocking(partial(run, client, websocket))
        awaitable: Awaitable[Any] = stepwise(run(client, websocket))
        return awaitable


@types.coroutine
def stepwise(work: Awaitable[Any]) -> Generator[Any, Any, Any]:
    """Await `work`, and log each step that blocks the loop for `BLOCKED_AFTER` s, at its end.

    The line has the fields of the current context, among them the action.
    """
    steps = work.__await__()
    step, given = steps.send, None
    while True:
        began = time.perf_counter()
        try:
            awaited = step(given)
        except StopIteration as end:
            return end.value
        finally:
            if (seconds := time.perf_counter() - began) >= BLOCKED_AFTER:
                log.warning("event loop was blocked", extra={"seconds": round(seconds, 1)})
        try:
            step, given = steps.send, (yield awaited)
        except BaseException as error:  # noqa: BLE001 -- forwarded to `work`
            step, given = steps.throw, error


def _check_number(action: type[ActionRunner], fields: object) -> None:
    """Refuse very many unknown fields, because Pydantic needs 1 kB to report each."""
    if action.model_config.get("extra") != "forbid" or not isinstance(fields, dict):
        return
    if len(fields) > len(action.model_fields) + MOST_UNKNOWN:
        name, count = action.discriminator(), len(fields)
        raise InvalidError(f"Invalid fields for {name}: {count} fields are too many")


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def explain(action: type[ActionRunner], error: ValidationError, fields: object = None) -> str:
    """The message for invalid fields; of a secret field it says only that it is not valid."""
    secret = action.secret_names()
    values = _values(fields, secret)
    details = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [_wrong_field(detail, secret, values) for detail in details[:MOST_PROBLEMS]]
    if (more := len(details) - MOST_PROBLEMS) > 0:
        problems.append(f"and {more} more")
    return f"Invalid fields for {action.discriminator()}: {'; '.join(problems)}"


_PLAIN_MESSAGES = {
    "extra_forbidden": "there is no such field",
    "missing": "must be given",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}
"""Replacements of messages that use terms of Python, by Pydantic's type of error."""


def _values(fields: object, secret: frozenset[str]) -> list[str]:
    """The values of the secret fields as text, which a validator might quote."""
    if not isinstance(fields, dict):
        return []
    return [text for name in secret if (text := str(fields.get(name) or ""))]


def _wrong_field(detail: Mapping[str, Any], secret: frozenset[str], values: Sequence[str]) -> str:
    where: tuple[str | int, ...] = detail["loc"] or ("fields",)
    path = ".".join(str(part) for part in where)[:LONGEST_NAME]
    problem = _PLAIN_MESSAGES.get(detail["type"])
    if problem is None:
        message = detail["msg"].removeprefix("Value error, ")
        is_secret = where[0] in secret or any(value in message for value in values)
        problem = "is not valid" if is_secret else message[:LONGEST_PROBLEM]
    return f"{path}: {problem}"


def _expected(name: str, error: PatchcordError) -> ActionResponse:
    text = KNOWN.sentence(str(error))
    status = status_of(error)
    if status == 500:
        return incident(name)
    if status > 500:
        log.warning("request failed", extra={"action": name, "status": status, "error": text})
    return ActionResponse(status_code=status, message=text)


def _without_secrets(response: ActionResponse) -> ActionResponse:
    """Redact the message of an error, which may quote a plugin or a driver."""
    message = response.message
    if response.status_code < 400 or not isinstance(message, str):
        return response
    redacted = KNOWN.sentence(message)
    return response if redacted == message else response.model_copy(update={"message": redacted})


def incident(name: str) -> ActionResponse:
    """A 500 with an id; the log line with the traceback of the current exception has it, too."""
    number = uuid.uuid4().hex[:12]
    log.exception("action failed", extra={"action": name, "incident": number})
    return ActionResponse(
        status_code=500, message=f"Internal error; the operator finds it as incident {number}"
    )


_JSON_KINDS = {dict: "an object", list: "a list", bool: "a boolean", type(None): "null"}


def _shown(name: object) -> str:
    if isinstance(name, str):
        return name[:LONGEST_NAME]
    return f"its name must be text, not {_JSON_KINDS.get(type(name), 'a number')}"


class TracedDispatcher(Dispatcher):
    """A `Dispatcher` that makes a span for each request."""

    def __init__(
        self,
        actions: Mapping[str, type[ActionRunner]],
        spans: Spans,
        *,
        run_blocking: RunBlocking,
        offload: Offload = call_inline,
    ) -> None:
        """`spans` creates the spans."""
        super().__init__(actions, run_blocking=run_blocking, offload=offload)
        self._names = frozenset(actions)
        self._spans = spans

    @override
    async def answer(
        self, name: object, fields: object, client: Any, websocket: Any
    ) -> ActionResponse:
        """The response to one request; its span has the action, the ref and the status."""
        action = name if isinstance(name, str) and name in self._names else UNKNOWN
        about = {"action": action, "ref": str(request_context.fields().get("ref", ""))}
        with self._spans.span(f"request.{action}", about) as span:
            try:
                response = await super().answer(name, fields, client, websocket)
            except asyncio.CancelledError:  # its deadline has passed, or this replica stops
                span.failed("cancelled")
                raise
            span.say("code", response.status_code)
            if response.status_code >= 500:
                span.failed(str(response.status_code))
            return response


def dispatcher(
    actions: Mapping[str, type[ActionRunner]],
    *,
    run_blocking: RunBlocking,
    offload: Offload = call_inline,
) -> Dispatcher:
    """A dispatcher that makes spans if traces are sent."""
    if (spans := installed()) is None:
        return Dispatcher(actions, run_blocking=run_blocking, offload=offload)
    return TracedDispatcher(actions, spans, run_blocking=run_blocking, offload=offload)
