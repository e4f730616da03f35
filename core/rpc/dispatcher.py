"""A span around each request, put there from outside and only where traces are sent."""

import asyncio
import inspect
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, override

from pydantic import ValidationError

from core import request_context
from core.action_response import ActionResponse
from core.action_runner import ActionRunner
from core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    PatchcordError,
    PluginFailedError,
    RateLimitedError,
    TooLargeError,
    TooLateError,
    UnavailableError,
    UnknownNameError,
    UnusableKeyError,
)
from core.helper_process import Offload, call_inline
from core.observability.loop_watch import stepwise
from core.observability.metrics import UNKNOWN
from core.observability.redaction import KNOWN
from core.observability.tracing import Spans, installed
from core.phoenix.large_frames import Unparsed, excess_of_text, fields_of
from core.phoenix.lenient_json import UNREADABLE, Unreadable
from core.request_context import request_secrets

# A request becomes an answer: find the action, validate the fields, run it, name what went wrong.
#
# `Dispatcher.answer` raises nothing but what its own cancellation does: every outcome is a
# response.

log = logging.getLogger(__name__)

STATUS_OF: dict[type[Exception], int] = {
    InvalidError: 400,
    ForbiddenError: 403,
    UnknownNameError: 404,
    ConflictError: 409,
    TooLargeError: 413,
    RateLimitedError: 429,
    PluginFailedError: 502,
    UnavailableError: 503,
    UnusableKeyError: 503,
    TooLateError: 504,
}
"""Whose fault it is, as an HTTP status. Anything else is ours: 500."""

MOST_PROBLEMS = 20
"""How many wrong fields an answer names; a caller may send any number of them."""
MOST_UNKNOWN = 10_000
"""How many fields that an action does not have are looked at; more are refused unread."""
LONGEST_NAME = 100
"""How much of a name that the caller made up is repeated."""
LONGEST_WORDS = 200
"""How much of what Pydantic says about a value, which it may quote."""

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
        """`run_blocking` awaits a function in a thread; `offload` looks at large texts."""
        self._actions = dict(actions)  # whatever mapping it is, this one is quick
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
        """Whether the action of this name sees to the size of its fields itself."""
        action = self._actions.get(name) if isinstance(name, str) else None
        return action is not None and action.limits_size

    def parses(self, name: object) -> bool:
        """Whether the action of this name has large fields parsed in this process."""
        action = self._actions.get(name) if isinstance(name, str) else None
        return action is not None and not action.text_fields

    async def answer(
        self, name: object, fields: object, client: Any, websocket: Any
    ) -> ActionResponse:
        """The answer to one request, whatever happens."""
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


def _check_number(action: type[ActionRunner], fields: object) -> None:
    """Refuse very many unknown fields: Pydantic takes a kilobyte to report each."""
    if action.model_config.get("extra") != "forbid" or not isinstance(fields, dict):
        return
    if len(fields) > len(action.model_fields) + MOST_UNKNOWN:
        name, count = action.discriminator(), len(fields)
        raise InvalidError(f"Invalid fields for {name}: there are no {count} fields")


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def explain(action: type[ActionRunner], error: ValidationError, fields: object = None) -> str:
    """Each wrong field and what was expected; of a secret field nothing but that it is wrong."""
    secret = action.secret_names()
    values = _values(fields, secret)
    details = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [_wrong_field(detail, secret, values) for detail in details[:MOST_PROBLEMS]]
    if (more := len(details) - MOST_PROBLEMS) > 0:
        problems.append(f"and {more} more")
    return f"Invalid fields for {action.discriminator()}: {'; '.join(problems)}"


_PLAIN_WORDS = {
    "extra_forbidden": "there is no such field",
    "missing": "must be given",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}
"""What Pydantic says in terms of Python, by its type of error."""


def _values(fields: object, secret: frozenset[str]) -> list[str]:
    """What was given for the secret fields, as a validator might quote it."""
    if not isinstance(fields, dict):
        return []
    return [text for name in secret if (text := str(fields.get(name) or ""))]


def _wrong_field(detail: Mapping[str, Any], secret: frozenset[str], values: Sequence[str]) -> str:
    where: tuple[str | int, ...] = detail["loc"] or ("fields",)
    path = ".".join(str(part) for part in where)[:LONGEST_NAME]
    words = _PLAIN_WORDS.get(detail["type"])
    if words is None:
        told = detail["msg"].removeprefix("Value error, ")
        tells = where[0] in secret or any(value in told for value in values)
        words = "is not valid" if tells else told[:LONGEST_WORDS]
    return f"{path}: {words}"


def _expected(name: str, error: PatchcordError) -> ActionResponse:
    text = KNOWN.sentence(str(error))
    status = next((code for kind, code in STATUS_OF.items() if isinstance(error, kind)), 500)
    if status == 500:
        return incident(name)
    if status > 500:
        log.warning("request failed", extra={"action": name, "status": status, "error": text})
    return ActionResponse(status_code=status, message=text)


def _without_secrets(response: ActionResponse) -> ActionResponse:
    """The same answer; what it says of a failure may quote what a plugin or a driver has said."""
    message = response.message
    if response.status_code < 400 or not isinstance(message, str):
        return response
    hidden = KNOWN.sentence(message)
    return response if hidden == message else response.model_copy(update={"message": hidden})


def incident(name: str) -> ActionResponse:
    """A 500 whose id is also in the log, with the traceback of the exception being handled."""
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
    """Answers as a `Dispatcher` does."""

    def __init__(
        self,
        actions: Mapping[str, type[ActionRunner]],
        spans: Spans,
        *,
        run_blocking: RunBlocking,
        offload: Offload = call_inline,
    ) -> None:
        """`spans` is what to trace with."""
        super().__init__(actions, run_blocking=run_blocking, offload=offload)
        self._names = frozenset(actions)
        self._spans = spans

    @override
    async def answer(
        self, name: object, fields: object, client: Any, websocket: Any
    ) -> ActionResponse:
        """The answer to one request; its span has the action, the ref and the code."""
        action = name if isinstance(name, str) and name in self._names else UNKNOWN
        about = {"action": action, "ref": str(request_context.fields().get("ref", ""))}
        with self._spans.span(f"request.{action}", about) as span:
            try:
                response = await super().answer(name, fields, client, websocket)
            except asyncio.CancelledError:  # its time was over, or this replica stops
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
    """A dispatcher, traced if anything is."""
    if (spans := installed()) is None:
        return Dispatcher(actions, run_blocking=run_blocking, offload=offload)
    return TracedDispatcher(actions, spans, run_blocking=run_blocking, offload=offload)
