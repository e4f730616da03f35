"""Taking the large bodies out of a vCon, and putting them back. No I/O.

A body is the member `body` of an element of `dialog`, `attachments` or `analysis`. In its place
stands a placeholder, a string:

    pc:media:{store}:{SHA-256}-{time}-{random}:{length}

`store` is where the body is kept; what follows is its name there: the SHA-256 of the body's JSON
text, the second of the write (hexadecimal, since 1970) and a random number; `length` is that of the
text in bytes. Names are looked up under the uuid of the vCon that contains the placeholder, so one
cannot lead to the media of another vCon. Each write has a name of its own: what removes unused
media never removes a body that is being written again at that moment.

A caller may send a body of this form. It is taken out like a large one, at any size, so every
placeholder in Redis is the service's own, and `put_back` after `take_out` is the same document.
"""

import hashlib
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

import orjson

from core.errors import InvalidError

MARK = "pc:media:"
"""How a placeholder begins. A document whose text does not contain it has none."""
MARK_BYTES = MARK.encode()
MOST = 100
"""Bodies that are taken out of one vCon: each is a write of its own."""
_SECTIONS = ("dialog", "attachments", "analysis")
_FORM = re.compile(
    r"pc:media:(redis|file|s3):([0-9a-f]{64}-[0-9a-f]{8}-[0-9a-f]{16}):([0-9]{1,12})"
)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[0-9a-f]{64}-([0-9a-f]{8})-[0-9a-f]{16}")

type Document = dict[str, Any]
type Body = str | bytes
"""A body that is a text, or the JSON of another one."""
type Known = Mapping[str, Body]
"""Bodies by their placeholders."""


class Placeholder(NamedTuple):
    """What stands in place of a body; `where`: its position, such as `dialog[0]`."""

    where: str
    store: str
    name: str
    length: int
    text: str


@dataclass(frozen=True, slots=True)
class TakenOut:
    """A document without its large bodies."""

    document: Document
    texts: dict[str, bytes] = field(default_factory=dict)
    """JSON texts of bodies that are to be written, by name."""
    bodies: dict[str, Body] = field(default_factory=dict)
    """Every body that was taken out, by its placeholder."""


def fresh_name(text: bytes) -> str:
    """A new name for a text: its hash, the time, a random number."""
    return f"{hashlib.sha256(text).hexdigest()}-{int(time.time()):08x}-{uuid4().hex[:16]}"


def take_out(
    document: Document,
    store: str,
    least: float,
    known: Known | None = None,
    name_of: Callable[[bytes], str] = fresh_name,
) -> TakenOut:
    """The document without bodies of at least `least` bytes of JSON; the given one is not changed.

    A body that is in `known` keeps its placeholder and is not written again. `name_of` makes the
    name of a text. Of more than `MOST` different bodies the others stay in the document.

    Raises:
        InvalidError: more than `MOST` bodies have the form of a placeholder.
        TypeError: a body cannot be JSON.
    """
    out = TakenOut(dict(document))
    copies: dict[str, list[Any]] = {}
    placed = {kept: placeholder for placeholder, kept in (known or {}).items()}
    for section, index, element in _elements(document):
        body = element["body"]
        if not _is_due(body, least):
            continue
        kept = body if isinstance(body, str) else orjson.dumps(body)
        placeholder = placed.get(kept)
        if placeholder is None:
            text = kept if isinstance(kept, bytes) else orjson.dumps(kept)
            if not _is_taken(body, text, least, len(out.texts), f"{section}[{index}]"):
                continue
            name = name_of(text)
            out.texts[name] = text
            placeholder = placed[kept] = f"{MARK}{store}:{name}:{len(text)}"
        out.bodies[placeholder] = kept
        if section not in copies:
            copies[section] = out.document[section] = list(document[section])
        copies[section][index] = {**element, "body": placeholder}
    return out


def written_at(name: str) -> int:
    """The second in which a name was made, or that with which it begins; 0 if there is none."""
    match = _NAME.match(name)
    return int(match[1], 16) if match else 0


def is_text_of(name: str, text: bytes) -> bool:
    """Whether a name is that of a text, by the hash in it."""
    return hashlib.sha256(text).hexdigest() == name[:64]


def digest_of(body: Any) -> str:
    """The SHA-256 of a body's JSON text, also of one that a placeholder stands for."""
    match = _FORM.fullmatch(body) if isinstance(body, str) else None
    return match[2][:64] if match else hashlib.sha256(orjson.dumps(body)).hexdigest()


def is_due(document: Document, least: float) -> bool:
    """Whether `take_out` may find something."""
    return any(_is_due(element["body"], least) for _, _, element in _elements(document))


def placeholders(document: Document) -> list[Placeholder]:
    """The placeholders of a document, in its order."""
    found = []
    for section, index, element in _elements(document):
        body = element["body"]
        match = _FORM.fullmatch(body) if isinstance(body, str) else None
        if match:
            where = f"{section}[{index}]"
            found.append(Placeholder(where, match[1], match[2], int(match[3]), body))
    return found


def body_of(text: bytes | str) -> Body:
    """The body with this JSON; one without escapes, such as base64, is not parsed."""
    if isinstance(text, str) and text[:1] == '"' and "\\" not in text:
        return text[1:-1]
    value = orjson.loads(text)
    if isinstance(value, str):
        return value
    return text.encode() if isinstance(text, str) else text


def put_back(document: Document, bodies: Known) -> None:
    """Put these bodies into the document itself, in place of their placeholders."""
    for element, body in _replaced(document, bodies):
        element["body"] = orjson.loads(body) if isinstance(body, bytes) else body


def whole_text(document: Document, bodies: Known) -> bytes:
    """The JSON of the document with these bodies, which are not parsed; changes the document."""
    for element, body in _replaced(document, bodies):
        element["body"] = orjson.Fragment(body) if isinstance(body, bytes) else body
    return orjson.dumps(document)


def _replaced(document: Document, bodies: Known) -> Iterator[tuple[Document, Body]]:
    for _, _, element in _elements(document):
        body = element["body"]
        if isinstance(body, str) and body in bodies:
            yield element, bodies[body]


def _elements(document: Document) -> Iterator[tuple[str, int, Document]]:
    """Every element with a body: section, position, element."""
    for section in _SECTIONS:
        elements = document.get(section)
        for index, element in enumerate(elements if isinstance(elements, list) else ()):
            if isinstance(element, dict) and "body" in element:
                yield section, index, element


def _is_taken(body: object, text: bytes, least: float, count: int, where: str) -> bool:
    """Whether a body with this JSON is taken out, after `count` others.

    Raises:
        InvalidError: it must be, since it looks like a placeholder, and there are too many.
    """
    is_marked = isinstance(body, str) and body.startswith(MARK)
    if is_marked and count >= MOST:
        msg = f"{where}.body: begins with {MARK}, as more than {MOST} bodies of this vCon do"
        raise InvalidError(f"{msg}; that form is reserved")
    return is_marked or (len(text) >= least and count < MOST)


def _is_due(body: object, least: float) -> bool:
    """Whether a body may have `least` bytes: a character takes 12 at most, as two escapes."""
    if isinstance(body, str):
        return 12 * len(body) + 2 >= least or body.startswith(MARK)
    return isinstance(body, dict | list) and least < math.inf
