"""The pauses between two connections, and which failures are news."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from core.concurrency.backoff import Backoff
from core.plugboard.reconnect import (
    HEALTHY_AFTER,
    CloseKind,
    CloseReason,
    ReconnectPolicy,
    connection_closed,
)
from core.secrets.credentials import Credentials
from schemas.token import Token

CLOSED = connection_closed(1006)
NOW = datetime.now(UTC)
REFUSED = CloseReason(CloseKind.REFUSED, "refused", 403)
TOKEN_7 = Token(
    id=7,
    context="consumer",
    service_id=1,
    value=SecretStr("new"),
    inserted_at=NOW,
    expires_at=NOW + timedelta(days=1),
)


@pytest.fixture
def policy() -> ReconnectPolicy:
    """The default pauses without jitter."""
    return ReconnectPolicy(Backoff(), Credentials(SecretStr("configured")))


def test_pauses_grow_from_one_second_to_thirty(policy: ReconnectPolicy) -> None:
    """While nothing helps each pause is twice as long as the last, up to the longest."""
    pauses = [policy.pause(CLOSED, 0.0) for _ in range(8)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_refusal_is_tried_again_within_fifteen_seconds(policy: ReconnectPolicy) -> None:
    """What was refused may be allowed any moment, however long it has been going on."""
    policy.report(REFUSED)
    pauses = [policy.pause(REFUSED, 0.0) for _ in range(100)]
    assert pauses[:5] == [1, 2, 4, 8, 15]
    assert max(pauses) == 15


@pytest.mark.parametrize(
    ("joined_for", "pause"), [(0.0, 8.0), (HEALTHY_AFTER - 0.1, 8.0), (HEALTHY_AFTER, 1.0)]
)
def test_a_join_that_held_starts_over(
    policy: ReconnectPolicy, joined_for: float, pause: float
) -> None:
    """Only a join that held for seconds makes the next pause the shortest again."""
    for _ in range(3):
        policy.pause(CLOSED, 0.0)
    policy.joined(100.0)
    assert policy.pause(CLOSED, 100.0 + joined_for) == pause


def test_health_counts_from_the_first_join_of_a_connection(policy: ReconnectPolicy) -> None:
    """A channel that was joined again on the same socket does not make the connection younger."""
    policy.pause(CLOSED, 0.0)
    policy.joined(0.0)
    policy.joined(50.0)
    assert policy.pause(CLOSED, HEALTHY_AFTER) == 1.0


def test_a_connection_that_never_joined_is_no_health(policy: ReconnectPolicy) -> None:
    """An hour in which nothing could be served does not count."""
    policy.pause(CLOSED, 0.0)
    assert policy.pause(CLOSED, 3600.0) == 2.0


def test_an_untried_token_is_tried_without_a_pause() -> None:
    """Once each token has been refused the pauses begin, from the shortest."""
    credentials = Credentials(SecretStr("configured"))
    credentials.created(TOKEN_7)
    policy = ReconnectPolicy(Backoff(), credentials)
    pauses = []
    for _ in range(4):
        policy.report(REFUSED)
        pauses.append(policy.pause(REFUSED, 0.0))
    assert pauses == [0, 1, 2, 4]


def test_jitter_only_shortens() -> None:
    """Many clients come back at different times, none later than without it."""
    shortened = ReconnectPolicy(Backoff(jitter=lambda: 1.0), Credentials(SecretStr("configured")))
    assert [shortened.pause(CLOSED, 0.0) for _ in range(7)] == [0.5, 1, 2, 4, 8, 15, 15]


def test_tokens_that_take_turns_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """A refusal is news once for each token until the client was joined, however often it comes."""
    credentials = Credentials(SecretStr("configured"))
    credentials.created(TOKEN_7)
    policy = ReconnectPolicy(Backoff(), credentials)
    for _ in range(6):
        policy.report(REFUSED)
    assert [record.__dict__.get("token_id") for record in caplog.records] == [None, 7]
    policy.joined(0.0)
    policy.report(REFUSED)
    assert len(caplog.records) == 3


def test_only_changes_are_news(policy: ReconnectPolicy) -> None:
    """The same thing again is no news, unless the client was joined between."""
    assert [policy.is_new(each) for each in (CLOSED, CLOSED, REFUSED, REFUSED, CLOSED)] == [
        *(True, False, True, False, True)
    ]
    policy.joined(0.0)
    assert policy.is_new(CLOSED)
