"""A set of texts that only grows, in 16 to 32 bytes for each: millions of uuids fit in memory.

Python's own set takes 140 bytes for a uuid. Two texts with the same 64 bits of BLAKE2 count as one:
of ten million, that happens to any two with a probability of 1 in 400,000.
"""

from array import array
from hashlib import blake2b

_FIRST_SLOTS = 1024


class Fingerprints:
    """Remembers texts; an open hash table of their fingerprints that is at most half full."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _FIRST_SLOTS))
        self._count = 0

    def __len__(self) -> int:
        """The number of texts."""
        return self._count

    def add(self, text: str) -> bool:
        """Remember a text; returns whether it is new."""
        digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        number = int.from_bytes(digest) or 1  # 0 is an empty slot
        at = self._slot_of(number)
        if self._slots[at] == number:
            return False
        self._slots[at] = number
        self._count += 1
        if 2 * self._count > len(self._slots):
            self._grow()
        return True

    def _slot_of(self, number: int) -> int:
        """The slot of a fingerprint, or the empty one where it belongs."""
        mask = len(self._slots) - 1
        at = number & mask
        while self._slots[at] not in (0, number):
            at = (at + 1) & mask
        return at

    def _grow(self) -> None:
        earlier = self._slots
        self._slots = array("Q", bytes(16 * len(earlier)))
        for number in earlier:
            if number:
                self._slots[self._slot_of(number)] = number
