"""What is taken out of a document at intake. The helper process imports this file: no I/O."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from pipeline.media.bodies import MARK_BYTES, UUID, Document, is_due, take_out


class Rule(NamedTuple):
    """Bodies of at least so many bytes, into this store."""

    store: str = "redis"
    least: float = math.inf


NOTHING = Rule()
"""MEDIA_STORE is unset: only bodies in the form of a placeholder are taken out."""


def media_rule(rule: Rule) -> str:
    """The rule as replicas tell it to each other."""
    return "unset" if rule.least == math.inf else f"{rule.store}, from {rule.least} bytes"


class TakenText(NamedTuple):
    """The JSON of a document without its large bodies."""

    text: bytes
    parts: Mapping[str, tuple[int, int]]
    """By name: where the JSON of each body stands in that of the whole document."""


def is_own(vcon_uuid: object) -> bool:
    """Whether media are kept under this uuid: it becomes a part of a path."""
    return isinstance(vcon_uuid, str) and UUID.fullmatch(vcon_uuid) is not None


def stripped_text(document: Document, text: bytes, rule: Rule) -> TakenText | None:
    """A document, of which `text` is the JSON, without its large bodies; None if it has none."""
    if len(text) < rule.least and MARK_BYTES not in text:
        return None
    if not (is_due(document, rule.least) and is_own(document.get("uuid"))):
        return None
    taken = take_out(document, *rule)
    parts = {name: _place(body, text) for name, body in taken.texts.items()}
    return TakenText(orjson.dumps(taken.document), parts) if parts else None


def _place(body: bytes, text: bytes) -> tuple[int, int]:
    at = text.index(body)  # the first of equal ones is as good
    return at, at + len(body)


_in_force: list[Rule] = [NOTHING]


def in_force() -> Rule:
    """The rule of this process, by its settings."""
    return _in_force[0]


def put_in_force(rule: Rule) -> None:
    """Set the rule of this process."""
    _in_force[:] = [rule]
