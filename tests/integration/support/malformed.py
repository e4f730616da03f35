"""Answers of 2xx in which one place has a value of another type than the vendor documents."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

type Path = tuple[str | int, ...]

ABSENT = object()
"""The member is left out."""
ODD: dict[str, Any] = {
    "absent": ABSENT,
    "null": None,
    "number": 7,
    "negative": -1.5,
    "true": True,
    "text": "odd",
    "empty text": "",
    "list": [],
    "list of null": [None],
    "object": {},
    "object of odd": {"text": 7, "id": None, "channels": {}},
    "huge": 10**400,
    "half": "\ud800",
}
"""What may stand where something else is expected."""


@dataclass(frozen=True)
class Place:
    """A value of the answer with this number; `path` leads to it."""

    answer: int
    path: Path

    def changed(self, content: bytes, odd: str) -> bytes:
        """The answer with an odd value there; unchanged if it has no such place."""
        try:
            document = copy.deepcopy(json.loads(content))
            if not self.path:
                return b"" if ODD[odd] is ABSENT else json.dumps(ODD[odd]).encode()
            *way, last = self.path
            inner = document
            for step in way:
                inner = inner[step]
            if ODD[odd] is ABSENT:
                del inner[last]
            else:
                inner[last] = ODD[odd]
        except (ValueError, LookupError, TypeError):
            return content
        return json.dumps(document).encode()


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of each value in a document; of a list only the first entry."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, (*path, name))
    elif isinstance(value, list) and value:
        yield from paths(value[0], (*path, 0))


def places(answers: list[bytes]) -> Iterator[Place]:
    """Each place of the answers that are JSON."""
    for number, content in enumerate(answers):
        try:
            document = json.loads(content)
        except ValueError:
            continue
        yield from (Place(number, path) for path in paths(document))
