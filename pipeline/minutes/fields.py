"""The fields of `pc:minutes:{minute}`, a hash with what one minute has counted.

A field is `{family} {outcome} {part} {names}`; its value is a whole number:

    run done 0.5 ["conserver"]            runs of more than 0.1 s and at most 0.5 s
    run done us ["conserver"]             microseconds of all of them
    link failed 2.5 ["conserver","tag"]   calls of a link, by chain and name; storages likewise
    partner accepted n ["<id of a key>"]  vCons of an ingress key; `bytes` has their size
    partner rate_limited n ["<id>"]       refused requests, by reason
    waiting - n ["in"]                    a sample of a list; also `delayed` and `in_flight`
    sampled - n ["at"]                    the time of the samples: ms since the minute began

The bounds of the buckets are part of the field, so that versions with other bounds can count into
one hash. `count_minute.lua` replaces the names by `["other"]` when the hash has no room for more.
"""

import json
import math
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, Self

OTHER = "other"
"""The name under which everything beyond a bound is counted."""
MOST_FIELDS = 4000
"""Fields of one minute; `count_minute.lua` exceeds it by at most one batch a process."""
KEPT_SECONDS = 70 * 60
LONGEST_NAME = 200
"""Characters of a name in a field."""
MICROSECONDS, NUMBER = "us", "n"
ABOVE_ALL = "inf"
"""The part for values above the last bound."""


class Field(NamedTuple):
    """The parts of a field. `part` is the upper bound of a bucket, `us` or `n`."""

    family: str
    outcome: str
    part: str
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        """The field as it is in Redis, in ASCII."""
        return f"{self.family} {self.outcome} {self.part} {names_text(self.names)}"

    @property
    def bound(self) -> float | None:
        """The upper bound of the bucket; None for `us` and `n`."""
        if self.part in (MICROSECONDS, NUMBER):
            return None
        return math.inf if self.part == ABOVE_ALL else float(self.part)

    @classmethod
    def read(cls, text: str) -> Self | None:
        """The parts of a field; None if it is none of a counter."""
        family, outcome, part, names = [*text.split(" ", 3), "", "", ""][:4]
        try:
            found = json.loads(names)
            field = cls(family, outcome, part, tuple(map(str, found)))
            has_names = isinstance(found, list) and found
            if has_names and (field.bound is None or field.bound > 0):
                return field
        except (ValueError, TypeError, RecursionError):
            return None
        return None


@lru_cache(maxsize=2000)
def names_text(names: tuple[str, ...]) -> str:
    """The names as JSON, in ASCII: a name may have any characters."""
    return json.dumps([shortened(name) for name in names], separators=(",", ":"))


def shortened(name: str) -> str:
    """The name as it is counted: a longer one is cut and ends in a digest, so it stays unique."""
    if len(name) <= LONGEST_NAME:
        return name
    digest = blake2b(name.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{name[: LONGEST_NAME - len(digest) - 1]}~{digest}"
