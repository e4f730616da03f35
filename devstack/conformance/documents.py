"""The vCons that plugins are run on."""

import copy
import json
from functools import cache
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


def difference(one: Document | None, other: Document | None) -> str:
    """The members in which two states differ."""
    first, second = _compared(one) or {}, _compared(other) or {}
    names = sorted(n for n in first.keys() | second.keys() if first.get(n) != second.get(n))
    return ", ".join(f"{n}: {_size(first.get(n))} then {_size(second.get(n))}" for n in names)


def _size(value: Any) -> str:
    return f"{len(value)} entries" if isinstance(value, list) else repr(value)[:40]


def _compared(document: Document | None) -> Document | None:
    if document is None:
        return None
    return {name: each for name, each in document.items() if name not in ("uuid", "updated_at")}
