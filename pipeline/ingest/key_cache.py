"""Whether a key opens a list: looked up in Postgres, remembered for seconds, never assumed."""

import hmac
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Literal
from zlib import crc32

from core.errors import ForbiddenError, RateLimitedError, UnavailableError
from core.observability.metrics import FAILED_KEYS
from schemas.ingress_key import IngressKey, KnownKey

# Wrong ingress keys: counted, and beyond a limit answered without asking Postgres.
#
# The Plugboard does not say who calls. The nearest to a caller is the list that a request names,
# so wrong keys are counted by list. Lists that do not exist count alike, in the same number of
# places: otherwise the limit would tell which lists there are.

WINDOW = 60.0
PLACES = 1024
"""Lists are counted in so many places; two that share one share the limit."""


class FailedKeys:
    """The wrong keys of the present minute."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        """`most` for one list in a minute; 0 for any number."""
        self._most = most
        self._clock = clock
        self._began = clock()
        self._counts = [0] * PLACES

    def admit(self, ingress_list: str | None) -> None:
        """Let a key be looked up that was not found valid lately.

        Raises:
            RateLimitedError: with the seconds to wait.
        """
        now = self._clock()
        if now - self._began >= WINDOW:
            self._began, self._counts = now, [0] * PLACES
        if self._most and self._counts[_place(ingress_list)] >= self._most:
            FAILED_KEYS.labels("throttled").inc()
            seconds = math.ceil(self._began + WINDOW - now)
            raise RateLimitedError(f"too many wrong keys; try again in {seconds} s")

    def count(self, ingress_list: str | None) -> None:
        """A key was wrong for this list."""
        FAILED_KEYS.labels("refused").inc()
        self._counts[_place(ingress_list)] += 1


def _place(ingress_list: str | None) -> int:
    return crc32((ingress_list or "").encode("utf-8", "replace")) % PLACES


def hashed(secret: str) -> str:
    """The SHA-256 of a secret in hex: all that Postgres keeps of it. Any text has one."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


FRESH = 3.0
"""Seconds that a key is not looked up again."""
STALE = 60.0
"""Seconds that a key works since it was last found valid, while Postgres is away.

As Postgres may go away in the moment after a key was revoked, this is how long a revoked key works
at most: the one number that is promised (REVOKED_KEY_SECONDS).
"""
MOST = 10_000
"""Keys that are remembered at once."""

type Verdict = Literal["valid", "expired", "revoked", "other list"]
type FindKey = Callable[[str], Awaitable[KnownKey | None]]


def verdict(key: KnownKey, ingress_list: str | None, age: float) -> Verdict:
    """What a key that was looked up `age` seconds ago is worth for a list (None: for any).

    No wall clock is asked: Postgres has said how long the key still works.
    """
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_in is not None and key.expires_in <= age:
        return "expired"
    if ingress_list is not None and not hmac.compare_digest(
        key.ingress_list.encode("utf-8", "replace"), ingress_list.encode("utf-8", "replace")
    ):
        return "other list"
    return "valid"


@dataclass(frozen=True, slots=True)
class _Seen:
    key: KnownKey
    at: float


class KeyRefusedError(ForbiddenError):
    """A key does not open a list; `key` is known where it is one, be it dead or another list's."""

    def __init__(self, message: str, key: IngressKey | None) -> None:
        self.key = key
        super().__init__(message)


class KeyCache:
    """The keys that this process has seen lately."""

    def __init__(
        self,
        find: FindKey,
        clock: Callable[[], float],
        stale: float = STALE,
        failures: FailedKeys | None = None,
    ) -> None:
        """`find` looks a key up by its hash; `clock` counts seconds and never goes back.

        `stale`: seconds that a revoked key works at most. `failures` limits wrong keys.
        """
        self._find = find
        self._clock = clock
        self._fresh, self._stale = min(FRESH, stale), stale
        self._failures = failures or FailedKeys(0, clock)
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    async def check(self, api_key: str | None, lists: Sequence[str]) -> IngressKey:
        """The key, if it opens every list named.

        Raises:
            KeyRefusedError: when it does not; each reason, an unknown list too, in the same words.
            RateLimitedError: too many wrong keys have come for this list; not for a known key.
            UnavailableError: when Postgres is away and the key was not verified just before.
        """
        names: Sequence[str | None] = lists or [None]
        if hashed(api_key or "") not in self._seen:
            self._failures.admit(names[0])
        seen = await self._known(api_key or "")
        for name in names:
            if seen is None or verdict(seen.key, name, self._clock() - seen.at) != "valid":
                self._failures.count(names[0])
                raise KeyRefusedError(refusal(name), None if seen is None else seen.key)
        assert seen is not None
        return seen.key

    def forget(self) -> None:
        """Look every key up again: some were changed by this very process.

        Which keys were valid is kept: their partners are not turned away for others' wrong keys.
        """
        self._seen = OrderedDict((name, _Seen(seen.key, -inf)) for name, seen in self._seen.items())

    async def _known(self, api_key: str) -> _Seen | None:
        if not api_key:
            return None
        digest = hashed(api_key)
        seen = self._seen.get(digest)
        if seen is not None and self._clock() - seen.at < self._fresh:
            return seen
        asked = self._clock()
        try:
            key = await self._find(digest)
        except UnavailableError:
            if seen is not None and self._clock() - seen.at < self._stale:
                return seen
            raise UnavailableError("ingress keys cannot be verified just now; try again") from None
        found = None if key is None else _Seen(key, asked)
        self._remember(digest, found)
        return found

    def _remember(self, digest: str, found: _Seen | None) -> None:
        self._seen.pop(digest, None)
        if found and verdict(found.key, None, self._clock() - found.at) == "valid":
            self._seen[digest] = found
            if len(self._seen) > MOST:
                self._seen.popitem(last=False)


def refusal(ingress_list: str | None) -> str:
    """What whoever has no key for a list is told, as vcon-server words it."""
    if ingress_list is None:
        return "Invalid API Key"
    return f"Invalid API Key for ingress list '{ingress_list[:200]}'"
