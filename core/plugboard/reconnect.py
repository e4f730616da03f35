"""Why a connection ended, whether to connect again, after which pause, and which line to log.

Texts of the WebSocket library are never repeated, because they may contain the URL with the token.
"""

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

from core.concurrency.backoff import Backoff
from core.errors import ConfigurationError
from core.observability import metrics
from core.secrets.credentials import Credentials, causes_of_refusal

log = logging.getLogger(__name__)

ABNORMAL = 1006
"""The close code used when the peer sent none (RFC 6455, section 7.4.1)."""
HEALTHY_AFTER = 10.0
"""Seconds of being joined after which the next pause is the shortest again."""
LONGEST_REFUSED_PAUSE = 15.0
"""Longest pause in seconds after a 403, because an operator may correct its cause at any time."""


class RedirectRefusedError(InvalidHandshake):
    """The answer to the handshake was a redirect to another server."""


class CloseKind(StrEnum):
    """How a connection ended, or why it was not made."""

    CLOSED = "closed"
    REFUSED = "refused"
    ANSWERED = "answered otherwise"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "not trusted"
    TOO_LONG = "too long"


class CloseReason(NamedTuple):
    """Why a connection ended or was not made; equal reasons in succession are logged once."""

    kind: CloseKind
    text: str
    code: int | None = None
    """The WebSocket close code or the HTTP status, if there was one."""

    @property
    def fatal(self) -> bool:
        """True if connecting again cannot succeed, because the request line is too long."""
        return self.kind is CloseKind.TOO_LONG


def connection_closed(code: int | None) -> CloseReason:
    """The reason for the end of an open connection.

    Usual codes: 1012 restart, 1006 network failure, 1002 no heartbeat in time.
    """
    text = "the connection to the Plugboard was lost"
    return CloseReason(CloseKind.CLOSED, text, code or ABNORMAL)


def close_reason(error: Exception, request_line: int, limit: int) -> CloseReason:
    """The reason for an error of a handshake whose request line has so many bytes.

    `limit` is the length that the Plugboard is expected to accept.

    The Plugboard's 414 arrives as `HTTP/1.0 414`, which the library reports as an invalid message.
    It does the same for a proxy's `HTTP/1.0 502` and for a server that closes while it starts.
    """
    if isinstance(error, ConnectionClosed):
        return connection_closed(error.rcvd.code if error.rcvd else None)
    if isinstance(error, RedirectRefusedError):
        return CloseReason(CloseKind.ANSWERED, _REDIRECTED)
    if isinstance(error, InvalidStatus):
        return _http_status(error.response.status_code, request_line)
    if isinstance(error, InvalidMessage):
        return _invalid_answer(error, request_line, limit)
    if isinstance(error, ssl.SSLCertVerificationError):
        return CloseReason(CloseKind.UNTRUSTED, _UNTRUSTED.format(error.verify_message))
    text = f"no connection to the Plugboard: {_os_error(error)}"
    return CloseReason(CloseKind.UNREACHABLE, text)


_UNTRUSTED = (
    "the Plugboard's certificate is not trusted: {}; for a private CA set SSL_CERT_FILE to the "
    "file with its certificate"
)
_REDIRECTED = (
    "the Plugboard redirects to another host or port, which does not get the token; correct "
    "WEBSOCKET_URL"
)
_TOO_LONG = (
    "the handshake's request line has {} bytes, and that is too long for the Plugboard or a proxy "
    "before it (414): set ACTIONS to the names this service shall offer"
)


def _http_status(status: int, request_line: int) -> CloseReason:
    if status == 414:
        return CloseReason(CloseKind.TOO_LONG, _TOO_LONG.format(request_line), status)
    if status == 403:
        return CloseReason(CloseKind.REFUSED, "the Plugboard refused the connection (403)", status)
    return CloseReason(CloseKind.ANSWERED, f"the Plugboard answered HTTP {status}", status)


def _invalid_answer(error: InvalidMessage, request_line: int, limit: int) -> CloseReason:
    if request_line > limit or " 414 " in str(error.__cause__):
        return CloseReason(CloseKind.TOO_LONG, _TOO_LONG.format(request_line), 414)
    return CloseReason(CloseKind.ANSWERED, "no valid HTTP answer from the Plugboard")


def _os_error(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return type(error).__name__


class ReconnectPolicy:
    """The pauses between connections, and the log lines about them.

    A reason is logged when it differs from the last one since the last join.
    """

    def __init__(self, backoff: Backoff, credentials: Credentials) -> None:
        """`backoff` gives the pauses; after a 403 `credentials` select another token."""
        self._credentials = credentials
        self._backoff = backoff
        self._failures = 0
        self._joined_at: float | None = None
        self._last_logged: object = None
        self._refusals: dict[int | None, str] = {}

    def joined(self, now: float) -> None:
        """The channel is joined; each reason is new again."""
        if self._joined_at is None:
            self._joined_at = now
        self._last_logged = None
        self._refusals.clear()

    def pause(self, reason: CloseReason, now: float) -> float:
        """Seconds to wait before the next attempt; 0 after a 403 if another token is untried."""
        if reason.kind is CloseKind.REFUSED and self._credentials.is_untried:
            return 0.0
        if self._joined_at is not None and now - self._joined_at >= HEALTHY_AFTER:
            self._failures = 0
        self._joined_at = None
        pause = self._backoff.wait(self._failures)
        self._failures += 1
        return min(pause, LONGEST_REFUSED_PAUSE) if reason.kind is CloseKind.REFUSED else pause

    def is_new(self, problem: object) -> bool:
        """True if this differs from the problem of the last call since the last join."""
        is_new, self._last_logged = problem != self._last_logged, problem
        return is_new

    def report(self, reason: CloseReason) -> None:
        """Log the reason if it is new; after a 403 also select the next token.

        Raises:
            ConfigurationError: connecting again cannot succeed.
        """
        if reason.fatal:
            raise ConfigurationError(reason.text)
        if reason.kind is CloseKind.REFUSED:
            self._report_refusal(reason)
        elif self.is_new(reason):
            status = {} if reason.code is None else {"status": reason.code}
            log.warning("not connected", extra={"error": reason.text, **status})

    def _report_refusal(self, reason: CloseReason) -> None:
        metrics.CONNECTIONS_REFUSED.inc()
        credential = self._credentials.current
        causes = causes_of_refusal(credential, datetime.now(UTC))
        known = {
            "error": f"{reason.text}: {causes}",
            "token_id": credential.token_id,
            "token_expires": credential.expires_at,
        }
        self._credentials.refused()
        if self._credentials.current is not credential:
            known["next_token_id"] = self._credentials.current.token_id
        if self._refusals.get(credential.token_id) != causes:  # several tokens take turns
            self._refusals[credential.token_id] = causes
            given = {name: value for name, value in known.items() if value is not None}
            log.error("connection refused", extra=given)
