"""How long a process relies on what Postgres has said of a key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from core.errors import ForbiddenError, RateLimitedError, UnavailableError
from core.observability.metrics import REGISTRY
from core.settings import Settings
from pipeline.ingest.key_cache import FRESH, MOST, STALE, FailedKeys, KeyCache, hashed
from schemas.ingress_key import KnownKey

NOW = datetime.now(UTC)
DOCS = Path(__file__).parents[3] / "docs"


def a_key(**changes: Any) -> KnownKey:
    """A valid key to the list `in`."""
    known: dict[str, Any] = dict.fromkeys(KnownKey.model_fields)
    known |= {"id": uuid4(), "ingress_list": "in", "label": "x", "source": "action", "use_count": 0}
    return KnownKey(**known | {"lineage": uuid4(), "created_at": NOW} | changes)


class Ring:
    """A ring with a clock and a Postgres of the test's own."""

    def __init__(self, stale: float = STALE) -> None:
        self.keys = {hashed("secret"): a_key()}
        self.now, self.asked, self.away = 100.0, 0, False
        self._ring = KeyCache(self._find, lambda: self.now, stale)

    async def _find(self, digest: str) -> KnownKey | None:
        self.asked += 1
        if self.away:
            raise UnavailableError("Postgres is away")
        return self.keys.get(digest)

    async def opens(self, secret: str = "secret", *lists: str) -> bool:
        """Whether the key is let in."""
        try:
            await self._ring.check(secret, lists or ["in"])
        except ForbiddenError:
            return False
        return True

    def forget(self) -> None:
        """Keys were changed by this process."""
        self._ring.forget()

    def revoke(self) -> None:
        """Revoke the key, by another process."""
        self.keys[hashed("secret")] = a_key(revoked_at=NOW)


@pytest.fixture
def ring() -> Ring:
    """One key, which opens `in`."""
    return Ring()


async def test_a_revoked_key_works_no_longer_than_it_is_fresh(ring: Ring) -> None:
    """Which is less than the time that is promised."""
    assert FRESH < STALE
    assert await ring.opens()
    ring.revoke()
    ring.now += FRESH - 0.1
    assert await ring.opens()
    ring.now += 0.2
    assert not await ring.opens()
    assert ring.asked == 2


@pytest.mark.parametrize("wall", [timedelta(hours=-2), timedelta(), timedelta(hours=2)])
async def test_a_key_that_expires_meanwhile_ends_at_once(ring: Ring, wall: timedelta) -> None:
    """How long it works was told with it: nothing is looked up, and no wall clock is asked."""
    ring.keys[hashed("secret")] = a_key(expires_in=2.0, expires_at=NOW + wall)
    assert await ring.opens()
    ring.now += 2.5
    assert not await ring.opens()
    assert ring.asked == 1


async def test_while_postgres_is_away_a_verified_key_works_for_a_minute(ring: Ring) -> None:
    """Since it was last found valid; every other is not known to be right or wrong."""
    assert await ring.opens()
    ring.away = True
    ring.now += STALE - 0.1
    assert await ring.opens()
    with pytest.raises(UnavailableError):
        await ring.opens("another")
    ring.now += 0.2
    with pytest.raises(UnavailableError):
        await ring.opens()


@pytest.mark.parametrize("stale", [STALE, 2.0])
@pytest.mark.parametrize("use_after", [0.0, 0.9, 1.0])
async def test_a_revoked_key_works_no_longer_than_promised_when_postgres_dies(
    stale: float, use_after: float
) -> None:
    """It is revoked just after it was looked up, and Postgres dies in the same moment.

    However often it is used meanwhile, it ends `stale` seconds later.
    """
    ring = Ring(stale)
    assert await ring.opens()
    revoked_at = ring.now
    ring.revoke()
    ring.away = True
    while ring.now - revoked_at < stale:
        assert await ring.opens()
        ring.now += max(use_after, 0.25)
    ring.now = revoked_at + stale
    with pytest.raises(UnavailableError):
        await ring.opens()
    ring.away = False
    assert not await ring.opens()


def test_every_page_promises_the_same_number() -> None:
    """Of the seconds that a revoked key may still work."""
    assert Settings.model_fields["revoked_key_seconds"].default == STALE
    told = f"{STALE:g} seconds (`REVOKED_KEY_SECONDS`)"
    for page in ("ingress.md", "actions.md", "operations.md", "security.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        assert told in " ".join(text.split()), page


class Counted(Ring):
    """A ring that takes three wrong keys a minute for a list."""

    def __init__(self) -> None:
        super().__init__()
        failures = FailedKeys(3, lambda: self.now)
        self._ring = KeyCache(self._find, lambda: self.now, STALE, failures)


def failed(outcome: str) -> float:
    """How many requests with wrong keys had this outcome."""
    return REGISTRY.get_sample_value("patchcord_failed_keys_total", {"outcome": outcome}) or 0.0


async def test_wrong_keys_are_counted_and_throttled_by_list() -> None:
    """Beyond the limit Postgres is not asked; keys that are known, and other lists, go on."""
    ring, before = Counted(), (failed("refused"), failed("throttled"))
    assert await ring.opens()
    for number in range(3):
        assert not await ring.opens(f"wrong-{number}")
    asked = ring.asked
    for number in range(5):
        with pytest.raises(RateLimitedError, match="try again in 60 s") as refused:
            await ring.opens(f"wrong-{number}")
        assert refused.value.retry_after == 60
    assert ring.asked == asked
    assert await ring.opens()
    assert not await ring.opens("wrong", "another list")
    assert (failed("refused") - before[0], failed("throttled") - before[1]) == (4, 5)
    ring.now += 60
    assert not await ring.opens("wrong")


async def test_partners_are_not_turned_away_after_keys_were_changed_here() -> None:
    """A change of keys has all of them looked up again, and does not make them unknown."""
    ring = Counted()
    assert await ring.opens()
    for number in range(3):
        assert not await ring.opens(f"wrong-{number}")
    asked = ring.asked
    ring.forget()
    assert await ring.opens()
    assert ring.asked == asked + 1
    with pytest.raises(RateLimitedError):
        await ring.opens("wrong")


async def test_the_limit_of_wrong_keys_does_not_tell_which_lists_there_are() -> None:
    """Wrong keys for an unknown list count as those for a known one."""
    outcomes = []
    for name in ("in", "no such list"):
        ring = Counted()
        outcomes.append([await outcome(ring, name) for _ in range(5)])
    assert outcomes[0] == outcomes[1] == [False] * 3 + [None] * 2


async def outcome(ring: Ring, name: str) -> bool | None:
    """Whether a wrong key is let in; None when it is turned away for the limit."""
    try:
        return await ring.opens("wrong", name)
    except RateLimitedError:
        return None


async def test_what_was_wrong_is_looked_up_again(ring: Ring) -> None:
    """A key that was made just now works just now, and a wrong one fills no memory."""
    assert not await ring.opens("new")
    ring.keys[hashed("new")] = a_key()
    assert await ring.opens("new")
    assert not await ring.opens("")
    assert ring.asked == 2


async def test_every_list_must_be_opened(ring: Ring) -> None:
    """One that is not refuses the whole request."""
    assert not await ring.opens("secret", "in", "out")
    assert not await ring.opens("secret", "ín")


async def test_only_so_many_keys_are_remembered(ring: Ring) -> None:
    """The one that was not used for longest is looked up again."""
    for number in range(MOST + 1):
        ring.keys[hashed(str(number))] = a_key()
        assert await ring.opens(str(number))
    asked = ring.asked
    assert await ring.opens(str(MOST))
    assert ring.asked == asked
    assert await ring.opens("0")
    assert ring.asked == asked + 1
