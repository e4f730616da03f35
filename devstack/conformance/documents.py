"""The vCons that plugins are run on."""

import copy
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from devstack.testing import sample_vcon
from pipeline.vcon.normalization import normalised

type Document = dict[str, Any]

SAMPLES = Path(__file__).parents[2] / "samples"
RECORDING = "recording-inline-wav-0.4.0"
LARGE_BYTES = 5_000_000
HEARD = "Can I bring the bike on Saturday? The brake squeaks, and I paid 120 euros."
EVERY_SCRIPT = (
    "plain, Zoë, Ελένη, Олег, أهلا, שלום, 你好, こんにちは, 한국어, नमस्ते, 🚲👩🏽\u200d🔧🏳️\u200d🌈, "
    "e\u0301, \u202eabc\u202c, \ufeff, \u2028, \u0085, \x7f, \x01, \\u0000, \\ud83d, "
    '\U0010ffff, "quoted", </script>'
)
HALF = "half a pair: \ud83d and \udc00"
"""No UTF-8 has it. Redis keeps it only as an escape in JSON text that is a text itself."""


MOST_PLACES = 3
"""Differences of two vCons that are told."""
MOST_LETTERS = 60
"""Characters that are told of each of two different values."""


@cache
def _sample(name: str) -> Document:
    document: Document = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return document


def fresh(document: Document) -> Document:
    """A copy with a uuid of its own."""
    return {**copy.deepcopy(document), "uuid": str(uuid4())}


def rich() -> Document:
    """A vCon with something for every plugin: recording, text, transcript, summary and tags."""
    document = fresh(normalised(fresh(_sample(RECORDING))))
    text = sample_vcon()["dialog"][0]
    document["dialog"] = [document["dialog"][0], {**text, "body": HEARD}]
    heard = {"transcript": HEARD, "paragraphs": {"transcript": HEARD, "paragraphs": []}}
    document["analysis"] = [_analysis("transcript", heard)]
    tags = {"purpose": "tags", "body": '["topic:bike"]', "encoding": "json"}
    document["attachments"] = [tags]
    return normalised(document)


def _analysis(kind: str, body: Any) -> Document:
    entry = {"type": kind, "dialog": 1, "vendor": "example", "encoding": "json"}
    return {**entry, "body": json.dumps(body, ensure_ascii=False)}


def large() -> Document:
    """A vCon of more than `LARGE_BYTES`: texts, and one attachment that is most of it."""
    document = rich()
    words = f"{HEARD} " * 100
    texts = [{**document["dialog"][1], "body": f"{number}: {words}"} for number in range(20)]
    document["dialog"] += texts
    body = "x" * LARGE_BYTES
    document["attachments"].append({"purpose": "note", "body": body, "encoding": "none"})
    return normalised(document)


def every_script() -> Document:
    """A vCon with texts of many scripts, with control and direction characters."""
    return _with_text(rich(), EVERY_SCRIPT)


def half_surrogates() -> Document:
    """A vCon with bodies in JSON whose texts, when parsed, no UTF-8 has."""
    document = rich()
    heard = {"transcript": HALF, "paragraphs": {"transcript": HALF, "paragraphs": []}}
    document["analysis"] = [{**document["analysis"][0], "body": json.dumps(heard)}]
    document["attachments"][0]["body"] = json.dumps(["topic:bike", HALF])
    return document


def _with_text(document: Document, text: str) -> Document:
    document["subject"] = text
    document["parties"][0]["name"] = text
    document["dialog"][1]["body"] = text
    heard = {"transcript": text, "paragraphs": {"transcript": text, "paragraphs": []}}
    document["analysis"] = [_analysis("transcript", heard)]
    return document


def samples() -> dict[str, Document]:
    """Every sample as it is in Redis after ingest, with a uuid of its own, by name."""
    names = sorted(file.stem for file in SAMPLES.glob("*.json"))
    return {name: normalised(fresh(_sample(name))) for name in names}


def same(one: Document | None, other: Document | None) -> bool:
    """Whether two states of a vCon are equal, apart from their uuids and `updated_at`."""
    return _compared(one) == _compared(other)


def outline(document: Document | None) -> list[tuple[str, str, str]]:
    """The entries of a vCon without their contents: section, type or purpose, dialog."""
    sections = ("dialog", "analysis", "attachments")
    return [
        (section, str(entry.get("type") or entry.get("purpose")), str(entry.get("dialog")))
        for section in sections
        for entry in (document or {}).get(section) or ()
    ]


def difference(one: Document | None, other: Document | None, secrets: Iterable[str] = ()) -> str:
    """The first members in which two states differ, with what both have there.

    `secrets`: values that are masked.
    """
    found = islice(_differences(_compared(one) or {}, _compared(other) or {}, ""), MOST_PLACES)
    known = [each for each in secrets if each]
    return ", ".join(f"{at}: {_pair(mine, theirs, known)}" for at, mine, theirs in found)


def _differences(one: Any, two: Any, at: str) -> Iterator[tuple[str, Any, Any]]:
    """Path and both values of each place."""
    if isinstance(one, dict) and isinstance(two, dict):
        for name in sorted(one.keys() | two.keys()):
            place = f"{at}.{name}" if at else name
            yield from _differences(one.get(name), two.get(name), place)
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for number, pair in enumerate(zip(one, two, strict=True)):
            yield from _differences(*pair, f"{at}[{number}]")
    elif one != two:
        yield at, one, two


def _pair(one: Any, two: Any, secrets: Sequence[str]) -> str:
    if isinstance(one, list) and isinstance(two, list):
        return f"{len(one)} entries then {len(two)} entries"
    first, second = _masked(one, secrets), _masked(two, secrets)
    pairs = enumerate(zip(first, second, strict=False))
    same = next((number for number, (a, b) in pairs if a != b), min(len(first), len(second)))
    start = 0 if same < MOST_LETTERS // 2 else same - MOST_LETTERS // 4
    return f"{_part(first, start)} then {_part(second, start)}"


def _masked(value: Any, secrets: Sequence[str]) -> str:
    """A value as text, without the secrets, also those that are written as in JSON."""
    text = repr(value)
    for each in secrets:
        for spelling in (each, repr(each)[1:-1], json.dumps(each)[1:-1]):
            text = text.replace(spelling, "***")
    return text


def _part(text: str, start: int) -> str:
    end = start + MOST_LETTERS
    return f"{'...' if start else ''}{text[start:end]}{'...' if text[end:] else ''}"


def _compared(document: Document | None) -> Document | None:
    if document is None:
        return None
    return {name: each for name, each in document.items() if name not in ("uuid", "updated_at")}
