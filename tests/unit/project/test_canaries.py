"""The search for secrets in everything that was logged finds them."""

import logging
import secrets

import pytest

from tests.canaries import CANARIES, Canaries, canary


def test_a_secret_is_found_without_being_repeated() -> None:
    """Whether it became known before or after it was logged; what is short is not looked for."""
    canaries = Canaries()
    canaries.keep("a log", "one known-later two")
    canaries.keep("another", "nothing x here")
    assert list(canaries.found()) == []
    canaries.add("known-later")
    canaries.add("x")
    [leak] = canaries.found()
    assert leak == "a log: ...one <11 letters> two..."


@pytest.mark.parametrize("words", ["token-of-the-service", "key-1"])
def test_words_that_stand_elsewhere_by_chance_are_refused(words: str) -> None:
    """A secret that is searched for has something of its own, and is long enough to be searched."""
    with pytest.raises(ValueError, match="digits of its own"):
        canary(words)


def test_what_is_made_in_the_tests_is_known() -> None:
    """Every token that the development stack makes is one of the secrets."""
    assert secrets.token_urlsafe(24) in CANARIES._secrets


def test_a_short_name_made_by_a_driver_is_no_secret() -> None:
    """Eight hexadecimal digits are found in some uuid by chance, and protect nothing."""
    assert secrets.token_hex(4) not in CANARIES._secrets


def test_lines_are_searched_as_the_service_would_write_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the formatter hides has not been logged; what it does not has."""
    kept: list[str] = []
    monkeypatch.setattr(CANARIES, "keep", lambda _, text: kept.append(text))
    logging.getLogger("x").warning("token=%s and %s", "hidden-by-its-name", "plain-in-the-words")
    [line] = kept
    assert "hidden-by-its-name" not in line
    assert "plain-in-the-words" in line
