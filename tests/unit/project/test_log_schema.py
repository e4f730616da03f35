"""Log lines have one shape: a literal message in lower case, and fields of fixed names."""

import pytest

from devstack.pages.log_calls import LogCall, log_calls

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


def schema_calls() -> list[LogCall]:
    """All calls of rooms that use the service's logging; `flowlang` stands alone and does not."""
    return [call for call in log_calls() if not call.path.startswith("flowlang/")]


CALLS = schema_calls()
each_call = pytest.mark.parametrize("call", CALLS, ids=[call.place for call in CALLS])


@each_call
def test_fields_have_the_names_that_all_rooms_use(call: LogCall) -> None:
    """`error` is never called cause, why or reason; a number of things is `count`."""
    assert set(call.fields) <= FIELDS | NECESSARY.keys(), call.message


@each_call
def test_the_message_is_a_literal_without_values(call: LogCall) -> None:
    """One event has one message, which can be searched for; values are fields."""
    assert call.is_literal
    assert "%s" not in call.message
    assert "%r" not in call.message


@each_call
def test_the_message_is_in_lower_case(call: LogCall) -> None:
    """It begins with a small letter or a name, and does not end with a full stop."""
    first = call.message.split(" ", 1)[0].strip("'`,;:")
    assert first in NAMES or not first[:1].isupper()
    assert not call.message.endswith(".")


def test_every_further_field_is_in_use() -> None:
    """None is left in the list when its last line is gone."""
    assert NECESSARY.keys() <= {name for call in CALLS for name in call.fields}
