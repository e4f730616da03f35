"""A refused client keeps trying, logs each reason once, and tries newer tokens."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.concurrency.backoff import Backoff
from core.errors import ConfigurationError
from devstack.plugboard import Variant
from tests.integration.support.consumer import Attempts, Consumer, consumer
from tests.integration.support.plugboard_scene import PATIENCE
from tests.unit.support.actions_for_tests import Echo

TOO_LONG = "HTTP/1.0 414 Request-URI Too Long\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def locked_out(
    refusal: str, pause: float = 0.001
) -> AsyncIterator[tuple[Consumer, Attempts]]:
    """A client that was joined and now meets `refusal` wherever it connects."""
    attempts = Attempts()
    backoff = Backoff(first=pause, cap=10 * pause, jitter=attempts)
    async with consumer(Echo, reconnect=backoff) as running:
        connection = await running.joined()
        running.board.faults.refuse_connects = refusal
        connection.abort()
        yield running, attempts


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The errors that the client has logged, without the loss of the first connection."""
    lines = [
        str(record.__dict__["error"])
        for record in caplog.records
        if record.name == "core.plugboard.reconnect" and record.levelno >= logging.WARNING
    ]
    return [line for line in lines if "was lost" not in line]


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "refused the connection (403)"),
        ("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n", "HTTP 500"),
        ("HTTP/1.0 502 Bad Gateway\r\n\r\n", "the Plugboard"),
        ("", "no valid HTTP answer"),
    ],
)
async def test_a_failed_handshake_is_repeated_and_logged_once(
    refusal: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """However often the same thing happens, it is one line; afterwards the client serves."""
    async with locked_out(refusal) as (running, attempts):
        await attempts.further(4)
        assert not running.client.joined
        running.board.faults.refuse_connects = None
        await running.serves()
    lines = logged(caplog)
    assert words in lines[0]
    assert len(lines) < 4


async def test_each_other_reason_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A reason is logged again after another one, and after a join."""
    async with locked_out("") as (running, attempts):
        for refusal in ("", "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", ""):
            running.board.faults.refuse_connects = refusal
            await attempts.further(3)
        running.board.faults.refuse_connects = None
        connection = await running.joined()
        running.board.faults.refuse_connects = ""
        connection.abort()
        await attempts.further(3)
    lines = ["503" in line for line in logged(caplog)]
    assert lines == [False, True, False, False]


async def test_a_dead_board_is_waited_for() -> None:
    """Without a server the client keeps trying, and connects when there is one."""
    async with locked_out("") as (running, attempts):
        await running.board.kill()
        await attempts.further(3)
        running.board.faults.refuse_connects = None
        await running.board.start()
        await running.serves()


@pytest.mark.parametrize("variant", Variant)
async def test_a_handshake_that_is_too_long_for_the_plugboard_ends_the_client(
    variant: Variant,
) -> None:
    """The error of a real 414 has the length and a remedy, and the client ends."""
    async with consumer(Echo, variant=variant, request_line_limit=200) as running:
        with pytest.raises(ConfigurationError, match=r"request line has \d{3} bytes.* set ACTIONS"):
            await running.ended()


async def test_the_line_about_a_refusal_describes_the_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For a token that was joined with, the line has its id, expiry and the possible causes."""
    async with locked_out("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n") as (
        running,
        attempts,
    ):
        await attempts.further(2)
        [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert (
            "the token was deleted, or consumers that offer other actions"
            in record.__dict__["error"]
        )
        assert record.__dict__["token_id"] == running.scene.token.id
        assert record.__dict__["token_expires"] == running.client.credentials.current.expires_at
        assert running.scene.token.value not in repr([vars(each) for each in caplog.records])


async def test_other_actions_joined_mean_waiting(caplog: pytest.LogCaptureFixture) -> None:
    """While consumers with other actions are joined the client is refused; then it is let in."""
    async with locked_out("") as (running, attempts):
        await running.board.wait_for(lambda: running.board.consumers == [])
        running.board.faults.refuse_connects = None
        other = await running.scene.join(actions='{"Other": {}}')
        await attempts.further(3)
        assert not running.client.joined
        assert any("consumers that offer other actions" in line for line in logged(caplog))
        await other.socket.close()
        await running.serves()


async def test_a_new_token_is_used_when_the_present_one_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After its own token was deleted the client connects with a newer one."""
    async with consumer(Echo) as running:
        connection = await running.joined()
        made = running.board.create_token(running.scene.service)
        await running.hears(connection)
        connection.abort()
        connection = await running.joined()
        assert running.client.token is not None
        assert running.client.token.id == running.scene.token.id  # the present one was good
        running.board.delete_token(running.scene.token)
        await running.hears(connection)
        assert running.client.credentials.current.deleted
        connection.abort()
        await running.serves()
        assert running.client.token.id == made.id
        assert not running.client.credentials.current.deleted
        assert "refused" not in caplog.text  # the deleted one was not tried
        assert made.value not in repr([vars(each) for each in caplog.records])
        assert made.value not in repr(vars(running.client.credentials))


async def test_an_expired_token_is_logged_as_a_possible_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A token that expires while the client is away keeps it out until there is another."""
    attempts = Attempts()
    async with consumer(Echo, reconnect=attempts.backoff) as running:
        connection = await running.joined()
        running.board.expire_token(running.scene.token)
        connection.abort()
        await attempts.further(3)
        assert not running.running.done()
    assert len(logged(caplog)) == 1


async def test_a_client_that_was_never_joined_may_have_a_wrong_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Before the first join nothing is known of the token, so it may be wrong."""
    attempts = Attempts()
    async with consumer(Echo, reconnect=attempts.backoff, token="wrong") as running:
        await attempts.further(2)
        assert not running.client.joined
    [line] = logged(caplog)
    assert "the token is wrong, deleted or expired" in line


async def test_leaving_ends_the_pause() -> None:
    """A leave ends the pause before the next attempt."""
    async with locked_out("", pause=3600) as (running, attempts):
        await attempts.further(1)
        async with asyncio.timeout(PATIENCE):
            await running.client.leave(0)
            await running.ended()
