"""Whether another try may help is read off the error alone."""

import os
import socket
import ssl

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosedError,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)
from websockets.frames import Close
from websockets.http11 import Response

from core.plugboard.reconnect import CloseKind, close_reason, connection_closed

LINE, LIMIT = 4_000, 9_998
SECRET = "wss://plugboard.example/websocket?token=1-iQ0kccX4R8VQNAC"


def status(code: int) -> InvalidStatus:
    """An HTTP answer in place of the upgrade."""
    return InvalidStatus(Response(code, "", Headers()))


def message(cause: Exception) -> InvalidMessage:
    """What the driver makes of an answer that it cannot read."""
    error = InvalidMessage("did not receive a valid HTTP response")
    error.__cause__ = cause
    return error


UNREADABLE_414 = message(ValueError("unsupported protocol: HTTP/1.0 414 Request-URI Too Long"))
UNREADABLE_502 = message(ValueError("unsupported protocol: HTTP/1.0 502 Bad Gateway"))
HUNG_UP = message(EOFError("connection closed while reading HTTP status line"))


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (ConnectionClosedError(Close(1012, ""), None), CloseKind.CLOSED, 1012),
        (ConnectionClosedError(Close(1002, ""), None), CloseKind.CLOSED, 1002),
        (ConnectionClosedError(None, None), CloseKind.CLOSED, 1006),
        (status(403), CloseKind.REFUSED, 403),
        (status(500), CloseKind.ANSWERED, 500),
        (status(502), CloseKind.ANSWERED, 502),
        (status(404), CloseKind.ANSWERED, 404),
        (UNREADABLE_502, CloseKind.ANSWERED, None),
        (HUNG_UP, CloseKind.ANSWERED, None),
        (ConnectionRefusedError(111, "no"), CloseKind.UNREACHABLE, None),
        (TimeoutError("timed out during opening handshake"), CloseKind.UNREACHABLE, None),
        (socket.gaierror(-2, "Name or service not known"), CloseKind.UNREACHABLE, None),
        (InvalidURI(SECRET, "no"), CloseKind.UNREACHABLE, None),
    ],
)
def test_everything_ordinary_is_tried_again(
    error: Exception, kind: CloseKind, code: int | None
) -> None:
    """A restart, a cut line, a refusal and a proxy's error are no reason to give up."""
    reason = close_reason(error, LINE, LIMIT)
    assert (reason.kind, reason.code, reason.fatal) == (kind, code, False)


@pytest.mark.parametrize(
    ("error", "line"),
    [(UNREADABLE_414, LINE), (status(414), LINE), (HUNG_UP, LIMIT + 1), (UNREADABLE_502, 20_000)],
)
def test_a_request_line_that_is_too_long_is_fatal(error: Exception, line: int) -> None:
    """After a 414, or with a line above the limit, the text has its length and a remedy."""
    reason = close_reason(error, line, LIMIT)
    assert reason.fatal
    assert f"has {line} bytes" in reason.text
    assert "set ACTIONS" in reason.text


def test_a_long_line_is_not_blamed_for_a_dead_server() -> None:
    """A server that cannot be reached has not read the line."""
    assert not close_reason(ConnectionRefusedError(111, ""), LIMIT + 1, LIMIT).fatal


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, f"refused {SECRET}"), os.strerror(111)),
        (TimeoutError(SECRET), "no answer in time"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (InvalidURI(SECRET, "no"), "InvalidURI"),
        (ssl.SSLError(1, f"[SSL] {SECRET}"), "SSLError"),
    ],
)
def test_the_words_name_the_cause_and_quote_no_url(error: Exception, words: str) -> None:
    """The driver's own text may hold the URL, and so the token."""
    text = close_reason(error, LINE, LIMIT).text
    assert words in text
    assert "token" not in text


def test_a_certificate_that_is_not_trusted_names_the_remedy() -> None:
    """The text for an unknown authority names SSL_CERT_FILE."""
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "unable to get local issuer certificate"
    reason = close_reason(error, LINE, LIMIT)
    assert (reason.kind, reason.fatal) == (CloseKind.UNTRUSTED, False)
    assert "unable to get local issuer certificate" in reason.text
    assert "SSL_CERT_FILE" in reason.text


def test_a_close_without_a_code_is_abnormal() -> None:
    """A line that was cut has the code that stands for it."""
    assert (connection_closed(None).code, connection_closed(1000).code) == (1006, 1000)
