"""Reading JSON out of what a language model says."""

import json
from collections.abc import Iterator
from typing import Any

MOST_TRIES = 1000
"""Places in one answer at which an object may begin; an answer with more is not read further."""
_decoder = json.JSONDecoder(strict=False)  # models leave line breaks in texts as they are


def objects_in(answer: str) -> Iterator[dict[str, Any]]:
    """Each JSON object in an answer, from the last to the first.

    Models put an object into a code fence, or words around it, though they are asked for nothing
    but the object. What they settle on is usually what they say last.
    """
    yield from reversed(list(_from_the_left(answer)))


def _from_the_left(answer: str) -> Iterator[dict[str, Any]]:
    position = 0
    for _ in range(MOST_TRIES):
        position = answer.find("{", position)
        if position < 0:
            return
        try:
            found, position = _decoder.raw_decode(answer, position)
        except (ValueError, RecursionError):
            position += 1
        else:
            yield found
