"""The registration of a request that has an idempotency key."""

import pytest

from core.errors import InvalidError
from pipeline.ingest.idempotency import LONGEST_KEY, NO_KEY, registration

UUID = "018e2f0a-5b7c-7d1e-8f2a-3b4c5d6e7f80"


@pytest.mark.parametrize(
    "key",
    [
        UUID,
        UUID.upper(),
        UUID.replace("-", ""),
        f"{{{UUID}}}",
        f"urn:uuid:{UUID}",
        f'"{UUID}"',
        f" {UUID} ",
    ],
)
def test_the_uuid_of_the_vcon_is_no_key(key: str) -> None:
    """In any spelling; that of another vCon is a key as any other."""
    assert registration(key, UUID, ["in"]) == NO_KEY
    assert registration(key, UUID.replace("0", "1"), ["in"]) != NO_KEY


@pytest.mark.parametrize("key", ["", "x" * (LONGEST_KEY + 1)])
def test_a_key_has_a_length(key: str) -> None:
    """One that is too long is refused, not cut off: two of them would be the same."""
    with pytest.raises(InvalidError, match="1 to 255 characters"):
        registration(key, UUID, [])


@pytest.mark.parametrize("key", ["x" * LONGEST_KEY, "\ud800", "pc:locks", "a\nb", "é", "\0"])
def test_any_text_is_a_key_and_redis_has_only_its_digest(key: str) -> None:
    """The name in Redis has a fixed length for every key of a caller."""
    name = registration(key, UUID, []).name
    assert name.startswith("pc:request:")
    assert len(name) == len("pc:request:") + 64
    assert name.isascii()


def test_callers_and_lists_are_told_apart() -> None:
    """By the scope, which no key can imitate; lists by their names, in any order and number."""
    callers = [("k", ""), ("k", "a"), ("a\nk", ""), ("\nk", "a"), ("K", "")]
    assert len({registration(key, UUID, [], scope).name for key, scope in callers}) == len(callers)
    assert registration("k", UUID, ["a", "b"]) == registration("k", UUID, ["b", "a", "b"])
    assert registration("k", UUID, ["a"]) != registration("k", UUID, ["b"])
    assert registration("k", UUID, ["a"]) != registration("k", UUID, [])
