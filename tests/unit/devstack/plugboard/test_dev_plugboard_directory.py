"""The development Plugboard's tokens, and how it compares published actions."""

from datetime import UTC, datetime, timedelta

import pytest

from devstack.plugboard.board.directory import Directory, Service
from devstack.plugboard.board.roster import canonical_actions

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SERVICE = Service(1, "basic", NOW, NOW)


@pytest.fixture
def directory() -> Directory:
    """A directory with one token."""
    directory = Directory(timedelta(days=90))
    directory.create_token(SERVICE, "AAAA", NOW)
    return directory


def test_a_token_is_known_by_its_bytes_until_it_expires(directory: Directory) -> None:
    """Padding does not matter; unknown, malformed, expired and deleted values are no token."""
    token = directory.create_token(SERVICE, "QUI", NOW)
    assert directory.valid_token("QUI=", NOW) is token
    assert directory.valid_token("QUI", NOW + timedelta(days=90)) is None
    for value in ("", "Q", "QUJD", "Q+I", "é"):
        assert directory.valid_token(value, NOW) is None
    directory.delete_token(token)
    assert directory.valid_token("QUI", NOW) is None


@pytest.mark.parametrize("value", ["", "not base64!", "AAAA"])
def test_a_chosen_token_value_must_be_fit_and_free(directory: Directory, value: str) -> None:
    """A value that is no base64url or belongs to another token is refused."""
    with pytest.raises(ValueError, match="base64url"):
        directory.create_token(SERVICE, value, NOW)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ('{"a":1,"b":2}', ' { "b" : 2, "a":1 } ', True),
        ('{"a":{"default":1}}', '{"a":{"default":1.0}}', True),
        ('{"a":1}', '{"a":true}', False),
        ('{"a":null}', "{}", False),
        ('{"a":[1,2]}', '{"a":[2,1]}', False),
        ('{"a":"x"}', '{"a":"y"}', False),
    ],
)
def test_actions_are_compared_as_values(one: str, other: str, equal: bool) -> None:
    """Key order, white space and 1 against 1.0 do not matter; everything else does."""
    assert (canonical_actions(one) == canonical_actions(other)) is equal


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", "{'a': 1}"])
def test_what_is_not_json_has_no_canonical_form(text: str) -> None:
    """Undecodable actions are told apart from decodable ones."""
    assert canonical_actions(text) is None
