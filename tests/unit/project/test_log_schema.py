"""Log lines have one shape: a literal message in lower case, and fields of fixed names."""

import re
from collections.abc import Iterable

import pytest

from devstack.pages.log_calls import ROOMS, LogCall
from tests.unit.support.logged import logged

FIELDS = frozenset(
    {
        *("error", "action", "ref", "run", "chain", "vcon", "link", "storage", "attempt"),
        *("worker", "list", "seconds", "count", "status"),
    }
)
"""What every room uses; `error` is what went wrong, everywhere."""
NECESSARY = {
    "tracer": "the third kind of plugin, beside link and storage",
    "incident": "the id that the caller of a failed action was given",
    "event_name": "the Plugboard's event; `event` is what structlog calls the message",
    "service": "the service whose channel was joined",
    "actions": "the names that are published",
    "token_id": "the token to replace; its value is never logged",
    "token_expires": "when that token ends",
    "next_token_id": "the token that is tried next",
    "hash": "the configuration, as runs record it",
    "chains": "the chains of that configuration",
    "threads": "the most threads of a worker's plugins",
    "bytes_in_flight": "the bound on the documents of a worker's runs",
    "address": "where the HTTP API listens",
    "signal": "what is sent over OTLP: traces or metrics",
    "package": "what pip installed",
    "packages": "what pip installed beside it",
    "version": "of the package",
    "plugin_module": "the imported module; `module` belongs to Python's log records",
    "thread_name": "the thread that ended; `threadName` belongs to Python's log records",
}
"""Further fields, each with its reason. A new one needs one."""
NAMES = ("Redis", "Postgres", "HTTP", "OTLP", "vCon", "vCons", "VconRedis", "Plugboard")
"""Words that are written so at the beginning of a message, too."""


def schema_calls(room: str | None = None) -> list[LogCall]:
    """The calls of rooms that use the service's logging; `flowlang` stands alone and does not."""
    rooms = [each for each in ROOMS if each != "flowlang" and room in (None, each)]
    return [call for call in logged() if call.path.split("/")[0] in rooms]


def told(calls: Iterable[LogCall]) -> list[str]:
    """Where to look, and what stands there."""
    return [f"{call.place} {call.message!r} {call.fields}" for call in calls]


each_room = pytest.mark.parametrize("room", ROOMS)


@each_room
def test_fields_have_the_names_that_all_rooms_use(room: str) -> None:
    """`error` is never called cause, why or reason; a number of things is `count`."""
    known = FIELDS | NECESSARY.keys()
    assert told(call for call in schema_calls(room) if not set(call.fields) <= known) == []


@each_room
def test_the_message_is_a_literal_without_values(room: str) -> None:
    """One event has one message, which can be searched for; values are fields."""
    calls = schema_calls(room)
    assert told(call for call in calls if not call.is_literal) == []
    assert told(call for call in calls if re.search("%[sr]", call.message)) == []


@each_room
def test_the_message_is_in_lower_case(room: str) -> None:
    """It begins with a small letter or a name, and does not end with a full stop."""
    calls = schema_calls(room)
    assert told(call for call in calls if begins_with_a_capital(call.message)) == []
    assert told(call for call in calls if call.message.endswith(".")) == []


def begins_with_a_capital(message: str) -> bool:
    """Names excepted."""
    first = message.split(" ", 1)[0].strip("'`,;:")
    return first not in NAMES and first[:1].isupper()


def test_every_line_is_of_a_room() -> None:
    """None is left out by the split into rooms."""
    lines = [each for room in ROOMS for each in told(schema_calls(room))]
    others = [call for call in logged() if call.path.startswith("flowlang/")]
    assert sorted([*lines, *told(others)]) == sorted(told(logged()))


def test_every_further_field_is_in_use() -> None:
    """None is left in the list when its last line is gone."""
    assert NECESSARY.keys() <= {name for call in schema_calls() for name in call.fields}
