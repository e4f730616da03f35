"""Text of any kind fits into JSON, UTF-8 and Postgres; what fits already stays as it is."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.observability.storable_text import (
    described,
    storable,
    storable_json,
    storable_text,
    text_of,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | ANY_TEXT | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT | st.integers(), inner),
    max_leaves=20,
)


@given(ANY_TEXT)
def test_any_text_can_be_kept(text: str) -> None:
    """Characters that need no replacement are kept, and doing it again changes nothing."""
    kept = storable_text(text)
    assert "\0" not in kept
    kept.encode()
    assert storable_text(kept) == kept
    if "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text):
        assert kept == text


@given(ANYTHING)
def test_any_structure_becomes_json(value: object) -> None:
    """Without NUL and without halves of surrogate pairs."""
    written = storable_json(value)
    assert b"\\u0000" not in written.replace(b"\\\\", b"")
    orjson.loads(written)


def test_two_halves_make_a_whole() -> None:
    """A pair that was written as two halves is one character."""
    assert storable_text("\ud83c\udfa7") == "\U0001f3a7"


def test_what_is_too_long_or_too_deep_has_an_end() -> None:
    """It is cut, and says so."""
    assert storable_text("x" * 50, 10) == "xxxxxx ..."
    deep: list[object] = []
    for _ in range(1000):
        deep = [deep]
    assert orjson.dumps(storable(deep))


class Mute(Exception):  # noqa: N818 -- a plugin's own
    """Its text cannot be asked for."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


class Endless(ExceptionGroup[Exception]):
    """Says that it contains itself."""

    exceptions = property(lambda self: (self,))  # type: ignore[assignment]


class Numbered(type):
    """Makes classes whose name is code that raises."""

    @property
    def __name__(cls) -> str:
        raise KeyboardInterrupt


class Unnamed(Exception, metaclass=Numbered):  # noqa: N818 -- a plugin's own
    """Its class cannot be asked for its name."""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Endless("g", [KeyError("k")]), "KeyError: 'k'"),
        (Unnamed("x"), "Unnamed: x"),
        (ValueError("x\ud800\0"), "ValueError: x\ufffd\ufffd"),
        (Mute(), "Mute"),
        (BaseExceptionGroup("g", [ExceptionGroup("h", [KeyError("k")])]), "KeyError: 'k'"),
        (GeneratorExit(), "GeneratorExit"),
    ],
)
def test_an_error_is_described(error: BaseException, text: str) -> None:
    """Its type and the first line of what it says."""
    assert described(error) == text


def test_a_value_that_cannot_be_shown_is_an_empty_text() -> None:
    """`__str__` may raise any error."""
    assert text_of(Mute()) == ""
