"""What the webhook link decides: whether and when to repeat, and how to sign."""

from datetime import UTC, datetime

import httpx
import pytest

from lib.web.http_retry import is_transient, retry_after
from links.webhook.signature import message_id, signed_headers

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
REQUEST = httpx.Request("POST", "https://user:secret@hooks.example.com/path")


def answered(status: int, **headers: str) -> httpx.HTTPStatusError:
    """The error that an answer with this status makes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.HTTPStatusError(
        "", request=REQUEST, response=httpx.Response(status, headers=named)
    )


@pytest.mark.parametrize(
    ("error", "repeated"),
    [
        (answered(500), True),
        (answered(503), True),
        (answered(429), True),
        (answered(429, retry_after="60"), True),
        (answered(429, retry_after="61"), False),
        (answered(400), False),
        (answered(404), False),
        (answered(301), False),
        (httpx.ConnectError(""), True),
        (httpx.ReadError(""), True),
        (httpx.RemoteProtocolError(""), True),
        (httpx.ConnectTimeout(""), True),
        (TimeoutError(), True),
        (httpx.UnsupportedProtocol(""), False),
        (ValueError(), False),
    ],
)
def test_only_what_may_pass_is_repeated(error: Exception, repeated: bool) -> None:
    """Full receivers, failing ones and broken connections, unless they ask for too long a wait."""
    assert is_transient(error) is repeated


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("3.5", 3.5),
        ("0.25", 0.25),
        ("0.123456789012", 0.123456789012),
        ("99999999999", 99999999999.0),
        ("1e9", 0.0),
        ("nan", 0.0),
        (" 0 ", 0.0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 12:00:30 -0000", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value: str, seconds: float) -> None:
    """Seconds or a date; what is neither asks for nothing."""
    assert retry_after(answered(503, retry_after=value), NOW) == seconds


def test_a_date_is_by_the_clock_of_the_server_that_gives_it() -> None:
    """Which the answer tells: this machine's may be wrong by hours."""
    date, until = "Sat, 21 Nov 2026 15:00:00 GMT", "Sat, 21 Nov 2026 15:00:30 GMT"
    assert retry_after(answered(503, retry_after=until, date=date), NOW) == 30


def test_an_error_that_is_no_answer_asks_for_no_pause() -> None:
    """There is no header to read."""
    assert retry_after(httpx.ConnectError(""), NOW) == 0
    assert retry_after(None, NOW) == 0


def test_the_signature_is_that_of_the_standard_webhooks_specification() -> None:
    """The specification's own example comes out."""
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_secret_without_the_prefix_is_taken_as_it_is() -> None:
    """`c2VjcmV0` is "secret" in base64, so both sign alike."""
    assert signed_headers("secret", "m", 1, b"x") == signed_headers("whsec_c2VjcmV0", "m", 1, b"x")


def test_a_prefixed_secret_that_is_no_base64_is_refused_without_showing_it() -> None:
    """A signature with another key than was meant would only fail at the receiver."""
    with pytest.raises(ValueError, match="not base64") as refusal:
        signed_headers("whsec_&&&hidden", "m", 1, b"")
    assert "hidden" not in str(refusal.value)


def test_the_message_id_tells_repeats_from_other_messages() -> None:
    """The same link, vCon and content have the same id; a change of any makes another."""
    ids = {
        message_id("a", "1", b"x"),
        message_id("b", "1", b"x"),
        message_id("a", "2", b"x"),
        message_id("a", "1", b"y"),
    }
    assert len(ids) == 4
    assert message_id("a", "1", b"x") in ids
