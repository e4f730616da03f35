"""Which token is tried next, and what a refusal may mean."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from core.secrets.credentials import MAX_SPARE, Credential, Credentials, causes_of_refusal
from schemas.token import Token

NOW = datetime(2026, 11, 21, 9, 35, 13, tzinfo=UTC)
LATER = NOW + timedelta(days=90)


def token(number: int, value: str | None = None) -> Token:
    """A token as the Plugboard sends it; with its value only when it is created."""
    return Token(
        id=number,
        context="api-token",
        service_id=3,
        inserted_at=NOW,
        expires_at=LATER,
        value=None if value is None else SecretStr(value),
    )


@pytest.fixture
def credentials() -> Credentials:
    """The configured token, joined with: it is number 1."""
    made = Credentials(SecretStr("configured"))
    made.joined(token(1))
    return made


def tried(credentials: Credentials, times: int) -> list[str]:
    """The values that are tried one after another when each is refused."""
    values = []
    for _ in range(times):
        values.append(credentials.current.value.get_secret_value())
        credentials.refused()
    return values


def test_a_new_token_is_tried_only_when_the_present_one_is_refused(
    credentials: Credentials,
) -> None:
    """The present one stays first; then they take turns, for the refusal may have other causes."""
    credentials.created(token(2, "second"))
    assert credentials.current.token_id == 1
    assert tried(credentials, 4) == ["configured", "second", "configured", "second"]


def test_the_newest_is_tried_first(credentials: Credentials) -> None:
    """Of several new tokens the latest is the likeliest to be good."""
    credentials.created(token(2, "second"))
    credentials.created(token(3, "third"))
    assert tried(credentials, 4) == ["configured", "third", "second", "configured"]


def test_a_deleted_token_is_not_tried_again(credentials: Credentials) -> None:
    """The present one stays until it is refused, a spare one is forgotten at once."""
    credentials.created(token(2, "second"))
    credentials.created(token(3, "third"))
    assert credentials.deleted(1)
    assert not credentials.deleted(2)
    assert credentials.current.deleted
    assert tried(credentials, 3) == ["configured", "third", "third"]


def test_without_another_the_present_one_is_tried_for_ever(credentials: Credentials) -> None:
    """Even a deleted one: nothing else is known."""
    credentials.deleted(1)
    assert credentials.for_connecting(NOW).token_id == 1
    assert tried(credentials, 3) == ["configured"] * 3


def test_a_token_known_to_be_deleted_is_not_tried_first(credentials: Credentials) -> None:
    """A rotated token was announced before the old one was deleted: connect with it at once."""
    credentials.created(token(2, "second"))
    assert credentials.for_connecting(NOW).token_id == 1
    credentials.deleted(1)
    assert credentials.current.deleted  # of the connection that still stands
    assert credentials.for_connecting(NOW).token_id == 2
    assert tried(credentials, 2) == ["second", "second"]


@pytest.mark.parametrize("deleted_first", [True, False])
def test_the_order_of_the_news_does_not_matter(
    credentials: Credentials, deleted_first: bool
) -> None:
    """Deleted before or after the new one was made: the new one is what connects."""
    news = [lambda: credentials.deleted(1), lambda: credentials.created(token(2, "second"))]
    for tell in news if deleted_first else reversed(news):
        tell()
    assert credentials.for_connecting(NOW).token_id == 2


def test_an_expired_token_is_passed_over_but_keeps_a_turn(credentials: Credentials) -> None:
    """This machine's clock may be wrong, so it is tried when the others are refused."""
    newer = token(2, "second").model_copy(update={"expires_at": LATER + timedelta(days=1)})
    credentials.created(newer)
    assert credentials.for_connecting(LATER).token_id == 2
    assert tried(credentials, 3) == ["second", "configured", "second"]


def test_each_token_is_untried_until_it_is_refused(credentials: Credentials) -> None:
    """A join makes all of them untried again."""
    credentials.created(token(2, "second"))
    untried = []
    for _ in range(3):
        credentials.refused()
        untried.append(credentials.is_untried)
    assert untried == [True, False, False]
    credentials.joined(token(2))
    credentials.refused()
    assert credentials.is_untried


def test_a_token_told_twice_or_without_value_is_no_new_one(credentials: Credentials) -> None:
    """Each token has one turn."""
    for each in (token(2, "second"), token(2, "second"), token(3), token(1, "configured")):
        credentials.created(each)
    assert tried(credentials, 3) == ["configured", "second", "configured"]


def test_only_so_many_are_remembered(credentials: Credentials) -> None:
    """Tokens made by the hundred do not pile up; the present one is always kept."""
    for number in range(2, 100):
        credentials.created(token(number, f"value-{number}"))
    newest = [f"value-{number}" for number in range(99, 99 - MAX_SPARE, -1)]
    assert tried(credentials, MAX_SPARE + 1) == ["configured", *newest]


def test_no_value_is_ever_shown(credentials: Credentials) -> None:
    """However it is looked at, a credential hides its value."""
    credentials.created(token(2, "second"))
    shown = f"{vars(credentials)} {credentials.current!r} {credentials.current}"
    assert "configured" not in shown
    assert "second" not in shown


@pytest.mark.parametrize(
    ("credential", "causes"),
    [
        (Credential(SecretStr("x")), ["wrong, deleted or expired", "other actions"]),
        (Credential(SecretStr("x"), 1, LATER), ["the token was deleted, or", "other actions"]),
        (Credential(SecretStr("x"), 1, NOW), ["the token has expired"]),
        (Credential(SecretStr("x"), 1, LATER, deleted=True), ["the token was deleted"]),
    ],
)
def test_a_refusal_tells_which_causes_are_possible(
    credential: Credential, causes: list[str]
) -> None:
    """What is known of the token rules causes out."""
    text = causes_of_refusal(credential, NOW)
    assert all(cause in text for cause in causes)
    assert ("other actions" in text) == ("other actions" in " ".join(causes))
