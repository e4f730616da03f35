"""When to connect again, and what of it is worth a line in the log."""

import logging
import os
import socket
import ssl
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
)

from core.backoff import Backoff
from core.credentials import Credentials, causes_of_refusal
from core.errors import ConfigurationError
from core.observability import metrics

# What an error of the connection means: whether to try again, and what to tell the operator.
#
# No text of the driver is repeated, because it may hold the URL, and so the token.

ABNORMAL = 1006
"""What stands for the close code when the other side sent none."""


class RedirectRefusedError(InvalidHandshake):
    """The answer to the handshake was a redirect to another server."""


class CloseKind(StrEnum):
    """How a connection ended, or why there is none."""

    CLOSED = "closed"
    REFUSED = "refused"
    ANSWERED = "answered otherwise"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "not trusted"
    TOO_LONG = "too long"


class CloseReason(NamedTuple):
    """One end of a connection; two that are equal are no news after each other."""

    kind: CloseKind
    words: str
    code: int | None = None
    """The WebSocket's close code or the HTTP status, where there is one."""

    @property
    def fatal(self) -> bool:
        """Whether another try cannot help, because this service asks for too much."""
        return self.kind is CloseKind.TOO_LONG


def closed(code: int | None) -> CloseReason:
    """An open connection has ended. 1012 is a restart, 1006 a cut line, 1002 too long a silence."""
    return CloseReason(
        CloseKind.CLOSED, "the connection to the Plugboard was lost", code or ABNORMAL
    )


def judge(error: Exception, request_line: int, limit: int) -> CloseReason:
    """What `error` means for a handshake of `request_line` bytes where `limit` are thought allowed.

    The Plugboard's 414 comes as `HTTP/1.0 414`, which the driver does not take for an answer. So
    do a proxy's `HTTP/1.0 502` and a server that hangs up because it is only starting.
    """
    if isinstance(error, ConnectionClosed):
        return closed(error.rcvd.code if error.rcvd else None)
    if isinstance(error, RedirectRefusedError):
        return CloseReason(CloseKind.ANSWERED, _REDIRECTED)
    if isinstance(error, InvalidStatus):
        return _answered(error.response.status_code, request_line)
    if isinstance(error, InvalidMessage):
        return _not_an_answer(error, request_line, limit)
    if isinstance(error, ssl.SSLCertVerificationError):
        return CloseReason(CloseKind.UNTRUSTED, _UNTRUSTED.format(error.verify_message))
    return CloseReason(CloseKind.UNREACHABLE, f"no connection to the Plugboard: {_cause(error)}")


_UNTRUSTED = (
    "the Plugboard's certificate is not trusted: {}; for a private CA set SSL_CERT_FILE to the "
    "file with its certificate"
)
_REDIRECTED = (
    "the Plugboard redirects to another host or port, which is not given the token; is "
    "WEBSOCKET_URL right?"
)
_TOO_LONG = (
    "the handshake's request line has {} bytes, and that is too long for the Plugboard or a proxy "
    "before it (414): set ACTIONS to the names this service shall offer"
)


def _answered(status: int, request_line: int) -> CloseReason:
    if status == 414:
        return CloseReason(CloseKind.TOO_LONG, _TOO_LONG.format(request_line), status)
    if status == 403:
        return CloseReason(CloseKind.REFUSED, "the Plugboard refused the connection (403)", status)
    return CloseReason(CloseKind.ANSWERED, f"the Plugboard answered HTTP {status}", status)


def _not_an_answer(error: InvalidMessage, request_line: int, limit: int) -> CloseReason:
    if request_line > limit or " 414 " in str(error.__cause__):
        return CloseReason(CloseKind.TOO_LONG, _TOO_LONG.format(request_line), 414)
    return CloseReason(CloseKind.ANSWERED, "no valid HTTP answer from the Plugboard")


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return type(error).__name__


log = logging.getLogger(__name__)

HEALTHY_AFTER = 10.0
"""Seconds of being joined after which the next pause is the shortest again."""
REFUSED_AGAIN = 15.0
"""Longest pause after a refusal, in seconds: what was refused may be allowed any moment."""


class ReconnectPolicy:
    """Counts what went wrong since the last healthy connection."""

    def __init__(self, backoff: Backoff, credentials: Credentials) -> None:
        """`backoff` gives the pauses; a refusal makes `credentials` try another token."""
        self._credentials = credentials
        self._backoff = backoff
        self._failures = 0
        self._joined_at: float | None = None
        self._told: object = None
        self._refusals: dict[int | None, str] = {}

    def joined(self, now: float) -> None:
        """Requests come in; whatever goes wrong next is news."""
        if self._joined_at is None:
            self._joined_at = now
        self._told = None
        self._refusals.clear()

    def pause(self, loss: CloseReason, now: float) -> float:
        """Seconds to wait before the next attempt: none if there is a token not tried yet."""
        if loss.kind is CloseKind.REFUSED and self._credentials.is_untried:
            return 0.0
        if self._joined_at is not None and now - self._joined_at >= HEALTHY_AFTER:
            self._failures = 0
        self._joined_at = None
        pause = self._backoff.wait(self._failures)
        self._failures += 1
        return min(pause, REFUSED_AGAIN) if loss.kind is CloseKind.REFUSED else pause

    def is_news(self, told: object) -> bool:
        """Whether the last thing told since the last join was anything else."""
        is_new, self._told = told != self._told, told
        return is_new

    def report(self, loss: CloseReason) -> None:
        """Tell the operator, if it is news.

        Raises:
            ConfigurationError: when no other try can help.
        """
        if loss.fatal:
            raise ConfigurationError(loss.words)
        if loss.kind is CloseKind.REFUSED:
            self._report_refusal(loss)
        elif self.is_news(loss):
            told = {"error": loss.words, "status": loss.code}
            log.warning("not connected", extra={k: v for k, v in told.items() if v is not None})

    def _report_refusal(self, loss: CloseReason) -> None:
        metrics.CONNECTIONS_REFUSED.inc()
        credential = self._credentials.present
        causes = causes_of_refusal(credential, datetime.now(UTC))
        known = {
            "error": f"{loss.words}: {causes}",
            "token_id": credential.token_id,
            "token_expires": credential.expires_at,
        }
        self._credentials.refused()
        if self._credentials.present is not credential:
            known["next_token_id"] = self._credentials.present.token_id
        if self._refusals.get(credential.token_id) != causes:  # several tokens take turns
            self._refusals[credential.token_id] = causes
            told = {name: value for name, value in known.items() if value is not None}
            log.error("connection refused", extra=told)
