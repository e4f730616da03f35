"""Errors of the service: their statuses over RPC, and when to try again."""

import pickle

import pytest

from core import errors
from core.errors import STATUS_OF


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.BusyError(), 409),
        (errors.ReusedKeyError(), 409),
        (errors.FullError(), 503),
        (errors.RateLimitedError(), 429),
    ],
)
def test_the_status_over_rpc_is_that_of_the_class_above(error: Exception, status: int) -> None:
    """The finer classes are for the HTTP API; RPC callers get the status that they got before."""
    assert next(code for kind, code in STATUS_OF.items() if isinstance(error, kind)) == status


@pytest.mark.parametrize("kind", [errors.RateLimitedError, errors.UnavailableError])
def test_the_pause_before_the_next_try_is_kept(kind: type[errors.UnavailableError]) -> None:
    """Also by a process boundary: errors of the helper process are pickled."""
    assert kind("why").retry_after == 1
    copied = pickle.loads(pickle.dumps(kind("why", retry_after=7)))
    assert (str(copied), copied.retry_after) == ("why", 7)


@pytest.mark.parametrize(
    "kind", [errors.BusyError, errors.FullError, errors.UnavailableError, errors.UnusableKeyError]
)
def test_what_may_succeed_later_has_a_pause(kind: type[errors.BusyError]) -> None:
    """Each error that HTTP answers with 503 says when to come again."""
    assert kind().retry_after == 1
