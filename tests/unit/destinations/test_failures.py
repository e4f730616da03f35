"""What the end of a call tells of its destination."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from core.errors import ConflictError, UnavailableError
from lib.web.http_retry import VendorError
from pipeline.destinations.failures import outcome_of


class NetworkError(Exception):
    """As the HTTP libraries name it."""


class StatusError(Exception):
    """As the HTTP libraries raise it, with the answer."""

    def __init__(self, status: object) -> None:
        super().__init__("no")
        self.response = type("Response", (), {"status_code": status})()


class ClientError(Exception):
    """As the library of S3 raises it."""

    def __init__(self, status: int) -> None:
        super().__init__("no")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


def caused(error: Exception, cause: Exception) -> Exception:
    """The error, raised from the other."""
    error.__cause__ = cause
    return error


def marked(**about: Any) -> Exception:
    """An error with these attributes."""
    error = ValueError("of a plugin")
    vars(error).update(about)
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ConnectionRefusedError(), "failed"),
        (TimeoutError("did not end within 3 s"), "failed"),
        (OSError(errno.EHOSTUNREACH, "no route"), "failed"),
        (OSError(errno.ENOSPC, "disk full"), "neither"),
        (NetworkError(), "failed"),
        (caused(RuntimeError("wrapped"), NetworkError()), "failed"),
        (StatusError(503), "failed"),
        (StatusError(429), "failed"),
        (StatusError(400), "ok"),
        (StatusError("503"), "neither"),
        (ClientError(500), "failed"),
        (ClientError(403), "ok"),
        (caused(NetworkError(), StatusError(404)), "ok"),
        (ValueError("of the vCon"), "neither"),
        (VendorError("answered 503", peer_failed=True), "failed"),
        (VendorError("answered 400"), "ok"),
        (marked(peer_failed=True), "failed"),
        (marked(peer_failed="yes"), "neither"),
        (UnavailableError("Redis"), "neither"),
        (ConflictError("lost"), "neither"),
        (KeyboardInterrupt(), "neither"),
    ],
)
def test_what_an_error_tells(error: BaseException, outcome: str) -> None:
    """Failures of the peer, answers of it, and what tells nothing of it."""
    assert outcome_of(error) == outcome


def test_an_outage_of_redis_tells_nothing() -> None:
    """Also where the plugin has raised another error from it."""
    assert outcome_of(ConnectionRefusedError(), redis_failed=True) == "neither"


def test_errors_that_cause_each_other_end() -> None:
    """A plugin may chain errors in a circle."""
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    assert outcome_of(one) == "neither"
