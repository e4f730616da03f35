"""What was made of vCons: by links, as far as the history of runs says, and for egress lists."""

from collections.abc import Sequence
from itertools import batched
from typing import Final

from pipeline.stored.index import StoredIndex

PAGE: Final = 500
GENERATIONS: Final = 5
"""Links that made a vCon of one that was made itself."""


async def made_from(uuids: Sequence[str], index: StoredIndex, most: int) -> dict[str, str]:
    """What was made of these, each with one that it was made from; little more than `most`.

    Raises:
        UnavailableError: Postgres cannot be reached.
    """
    made: dict[str, str] = {}
    asked: set[str] = set()
    for _ in range(GENERATIONS):
        unasked = [each for each in (*uuids, *made) if each not in asked]
        if not unasked:
            break
        for some in batched(unasked, PAGE):
            asked.update(some)
            after, page = 0, [("", "")]
            while page and len(made) <= most:
                page = await index.made_from(some, PAGE, after)
                made = dict(page) | made
                after += len(page)
    return made
