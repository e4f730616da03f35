"""Verifies ingress keys: looked up in Postgres, cached for seconds, wrong ones limited.

A key that was found valid is used for `FRESH` seconds without another look-up. While Postgres is
unavailable it is used until `stale` seconds after it was last found valid. Postgres may fail just
after a key was revoked, so `stale` is the longest time that a revoked key works: the setting
REVOKED_KEY_SECONDS promises that number. No look-up, no key: a key that is not cached is refused
with `UnavailableError`, never accepted.

Wrong keys are counted by the list that a request names, since the Plugboard does not identify
callers. Lists that do not exist are counted as others are; otherwise the limit would reveal which
lists exist. Above the limit, keys that are not cached are refused without asking Postgres.
"""

import hmac
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Literal
from zlib import crc32

from core.errors import ForbiddenError, RateLimitedError, UnavailableError
from core.observability.metrics import FAILED_KEYS
from pipeline.live_config import Configuration
from schemas.ingress_key import IngressKey, KnownKey

WINDOW = 60.0
"""Seconds for which wrong keys are counted."""
PLACES = 1024
"""Counters of wrong keys; lists whose names have the same hash share one."""
FRESH = 3.0
"""Seconds before a cached key is looked up again."""
STALE = 60.0
"""Default of REVOKED_KEY_SECONDS."""
MOST = 10_000
"""Cached keys."""
LONGEST_NAME = 200
"""Characters of a list's name that a text repeats."""

type Verdict = Literal["valid", "expired", "revoked", "other list"]
type FindKey = Callable[[str], Awaitable[KnownKey | None]]


def hashed(secret: str) -> str:
    """The SHA-256 of a secret in hex: all that Postgres keeps of it. Any text has one."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class FailedKeys:
    """Counts the wrong keys of the present minute, by list."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        """`most` for one list in a minute; 0 for no limit. `clock` gives monotonic seconds."""
        self._most = most
        self._clock = clock
        self._began = clock()
        self._counts = [0] * PLACES

    def admit(self, ingress_list: str | None) -> None:
        """Check the limit before a key that is not cached is looked up.

        Raises:
            RateLimitedError: with the seconds to wait.
        """
        now = self._clock()
        if now - self._began >= WINDOW:
            self._began, self._counts = now, [0] * PLACES
        if self._most and self._counts[_place(ingress_list)] >= self._most:
            FAILED_KEYS.labels("throttled").inc()
            seconds = math.ceil(self._began + WINDOW - now)
            raise RateLimitedError(f"too many wrong keys; try again in {seconds} s", seconds)

    def count(self, ingress_list: str | None) -> None:
        """Count a wrong key for this list."""
        FAILED_KEYS.labels("refused").inc()
        self._counts[_place(ingress_list)] += 1


def _place(ingress_list: str | None) -> int:
    return crc32((ingress_list or "").encode("utf-8", "replace")) % PLACES


def verdict(key: KnownKey, ingress_list: str | None, age: float) -> Verdict:
    """Whether a key opens a list (None: any list), `age` seconds after it was looked up.

    `expires_in` is by Postgres' clock, so clocks of replicas do not matter.
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
    """A key does not open a list. `key` is set if it exists (expired, revoked, another list)."""

    def __init__(self, message: str, key: IngressKey | None) -> None:
        self.key = key
        super().__init__(message)


class KeyCache:
    """The valid keys that this process has seen lately, by their hashes."""

    def __init__(
        self,
        find: FindKey,
        clock: Callable[[], float],
        stale: float = STALE,
        failures: FailedKeys | None = None,
    ) -> None:
        """`find` looks a key up by its hash; `clock` gives monotonic seconds.

        A revoked key works for at most `stale` seconds. `failures` limits wrong keys.
        """
        self._find = find
        self._clock = clock
        self._fresh, self._stale = min(FRESH, stale), stale
        self._failures = failures or FailedKeys(0, clock)
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    async def check(self, api_key: str | None, lists: Sequence[str]) -> KnownKey:
        """The key, if it opens every list named.

        Raises:
            KeyRefusedError: it does not; the text is the same for every reason, so that it does
                not reveal which keys and lists exist.
            RateLimitedError: too many wrong keys have come for this list; never for a cached key.
            UnavailableError: Postgres is unavailable and the key was not verified just before.
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
        """Look every key up again at its next use, after this process changed some.

        The entries stay, so that the limit of wrong keys does not refuse partners with valid keys.
        """
        self._seen = OrderedDict((name, _Seen(seen.key, -inf)) for name, seen in self._seen.items())

    async def _known(self, api_key: str) -> _Seen | None:
        if not api_key:
            return None
        digest = hashed(api_key)
        seen = self._seen.get(digest)
        if seen is not None and self._clock() - seen.at < self._fresh:
            return seen
        began = self._clock()
        try:
            key = await self._find(digest)
        except UnavailableError:
            if seen is not None and self._clock() - seen.at < self._stale:
                return seen
            raise UnavailableError(
                "ingress keys cannot be verified at present; try again"
            ) from None
        found = None if key is None else _Seen(key, began)
        self._remember(digest, found)
        return found

    def _remember(self, digest: str, found: _Seen | None) -> None:
        self._seen.pop(digest, None)
        if found and verdict(found.key, None, self._clock() - found.at) == "valid":
            self._seen[digest] = found
            if len(self._seen) > MOST:
                self._seen.popitem(last=False)


def refusal(ingress_list: str | None) -> str:
    """The text of a refusal, which vcon-server's documents define."""
    if ingress_list is None:
        return "Invalid API Key"
    return f"Invalid API Key for ingress list '{ingress_list[:LONGEST_NAME]}'"


class Refusals:
    """The texts with which vcon-server refuses a partner's key, for the HTTP API.

    They tell whether a list has keys, as there; `refusal`, for RPC callers, does not. Keys made by
    actions count as those of config.yml.
    """

    def __init__(
        self,
        configuration: Configuration,
        lists_with_keys: Callable[[], Awaitable[Set[str]]],
        clock: Callable[[], float],
    ) -> None:
        """`lists_with_keys` asks Postgres; `clock` gives monotonic seconds."""
        self._configuration = configuration
        self._lists_with_keys = lists_with_keys
        self._clock = clock
        self._known: Set[str] = frozenset()
        self._asked = -inf

    async def text(self, ingress_list: str, api_key: str | None) -> str:
        """The text for a key that does not open this list.

        If Postgres is unavailable, that of a list with keys.
        """
        if not api_key:
            return "API Key required"
        configured = self._configuration.config.ingress_auth
        try:
            made = frozenset() if configured.get(ingress_list) else await self._made()
        except UnavailableError:
            return refusal(ingress_list)
        name = ingress_list[:LONGEST_NAME]
        if configured.get(ingress_list) or ingress_list in made:
            return refusal(ingress_list)
        if not configured and not made:
            return "No ingress authentication configured"
        if ingress_list not in configured:
            return f"Ingress list '{name}' not configured"
        return f"Invalid configuration for ingress list '{name}'"

    async def _made(self) -> Set[str]:
        """The lists that have keys in Postgres; asked at most once in `FRESH` seconds."""
        if self._clock() - self._asked >= FRESH:
            self._known = await self._lists_with_keys()
            self._asked = self._clock()
        return self._known
