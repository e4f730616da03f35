"""The search keys of Redis that mean one person, however the value is written in them.

Redis has `tel:{value}` as the vCon has it, so a number may be there in any spelling. All keys of
one kind are read by `SCAN`, in slices that hold up no other client, and compared in a thread.
"""

import asyncio
import hashlib
from collections.abc import Sequence

from core.concurrency.thread_pool import in_own_thread
from pipeline.redis_client.client import RedisConnection
from pipeline.vcon.party_terms import Field, split, terms

SLICE = 1000
"""Keys that one call looks at."""
SECONDS = 20.0
"""After which the search is given up: some 20 million keys."""
MOST = 1000
"""Spellings of one value that are searched."""
_TAIL = 4
"""Last digits that a spelling of a number has somewhere, if it has digits only."""


class Spellings:
    """Finds the search keys of one value."""

    def __init__(self, redis: RedisConnection, region: str) -> None:
        """`region`: of numbers without a country code."""
        self._redis = redis
        self._region = region

    async def find(self, field: Field, form: str) -> tuple[list[str], bool]:
        """The keys whose value has this normalised form, and whether all keys were looked at.

        They are in the order of `mark`, so that a page can continue without naming the value.
        """
        found: list[str] = []
        try:
            async with asyncio.timeout(SECONDS):
                await self._scan(field, form, found)
        except TimeoutError:
            return sorted(found, key=mark), False
        return sorted(found, key=mark), len(found) < MOST

    async def _scan(self, field: Field, form: str, found: list[str]) -> None:
        cursor = "0"
        while len(found) < MOST:
            cursor, keys = await self._redis.command(
                "SCAN", cursor, "MATCH", f"{field}:*", "COUNT", SLICE, "TYPE", "set"
            )
            likely = [each for each in keys if may_mean(field, each, form)]
            if likely:
                found += await in_own_thread(self._meaning, field, form, likely)
            if str(cursor) == "0":
                return

    def _meaning(self, field: Field, form: str, keys: Sequence[str]) -> list[str]:
        named = ((key, split(key)) for key in keys)
        return [key for key, term in named if term and form in terms(field, term[1], self._region)]


def mark(key: str) -> str:
    """What stands for a key in a cursor, which may be logged: not its value."""
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()[:16]


def may_mean(field: Field, key: str, form: str) -> bool:
    """False if a key certainly has another form: normalising a number takes 10 us."""
    if field != "tel" or not key.isascii() or not form.lstrip("+")[:1].isdigit():
        return True
    value = key[len(field) + 1 :]
    if value[:4].lower() == "tel:":
        value = value[4:]
    if any(each.isalpha() or each == "%" for each in value):
        return True
    return _digits(form.partition(";")[0])[-_TAIL:] in _digits(value)


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))
