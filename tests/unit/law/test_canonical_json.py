"""Canonical JSON, and the hash of a basis over it."""

import json

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.law.basis.content_hash import ALGORITHMS
from pipeline.law.canonical_json import canonical

CANONICAL = (
    '{"expiration":"2027-03-01T09:00:00Z","lawful_basis":"consent","metadata":{"Größe":1,"n":1e+21},'
    '"purpose_grants":[{"granted":true,"granted_at":"2026-03-01T09:00:12Z","purpose":'
    '"transcription"},{"granted":false,"granted_at":"2026-03-01T09:00:12Z","purpose":"ai_training"'
    '}],"terms_of_service":"https://harbour.example/terms/7"}'
)
HASHES = {
    "sha-256": "c2a361771106baffc607edd608ac7173cf9637da89beb6f6cc8b0c57845b8eee",
    "sha-3-256": "0db7152d7db33c6d121d130329205ada45a6a72bfc59bdc99847c921647300de",
    "blake2b-256": "04af913188d35a6dd03a4a3c091dd8b41ac1f64af039023e86d76ea3221e3e33",
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=4), each, max_size=4)
    ),
    max_leaves=8,
)


def form_of(write, value):
    """What is written, or None."""
    try:
        return write(value)
    except ValueError:
        return None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_hash_of_a_known_body(algorithm):
    """The body in any order of members has the hash that others computed."""
    told = json.loads(CANONICAL)
    form = canonical(dict(reversed(told.items())))
    assert form == CANONICAL.encode()
    assert len(form) == 326
    assert ALGORITHMS[algorithm](form).hexdigest() == HASHES[algorithm]


@settings(max_examples=150, deadline=None)
@given(VALUES)
@example({"\ue000": 1, "\U00010000": 2})
@example({"a": '\x00\x1f\x7f\u2028"\\\b\t\n\f\r'})
@example([2**53 - 1, -(2**53 - 1), {}, []])
@example([2**53])
@example({"b": {"z": 1, "a": [True, None]}, "a": "ü"})
def test_it_is_that_of_the_library(value):
    """Whichever of the two libraries writes it, and also where it has no such form."""
    assert form_of(canonical, value) == form_of(rfc8785.dumps, value)
