"""Reads JSON objects out of a language model's answers."""

import json
from collections.abc import Iterator
from typing import Any

from core.observability.storable_text import storable

MAX_OBJECT_STARTS = 1000
"""The number of `{` in one answer at which parsing is attempted; the rest is ignored."""
MOST_SCANNED = 10_000_000
"""Characters that failed attempts may read, about 0.2 s: objects in objects are read repeatedly."""
_decoder = json.JSONDecoder(strict=False)  # models do not escape line breaks in strings


def objects_in(answer: str) -> Iterator[dict[str, Any]]:
    """Each JSON object in an answer, from the last to the first.

    Models put the object into a code fence or add text, even if the prompt forbids it. An answer
    with several objects usually ends with the final one. What a store would refuse in them is
    replaced as `storable` does.
    """
    yield from map(storable, reversed(list(_objects_forward(answer))))


def _objects_forward(answer: str) -> Iterator[dict[str, Any]]:
    position = scanned = 0
    for _ in range(MAX_OBJECT_STARTS):
        position = answer.find("{", position)
        if position < 0:
            return
        try:
            found, position = _decoder.raw_decode(answer, position)
        except (ValueError, RecursionError) as error:
            scanned += getattr(error, "pos", len(answer)) - position
            position += 1
            if scanned > MOST_SCANNED:
                return
        else:
            yield found
