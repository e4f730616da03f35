"""A person of whom every value is a canary, and the search for the person in all that is kept.

A value is found in the spellings in which software writes it: as it is in any case, percent- and
base64-encoded, in hexadecimal digits, as an unsalted digest, and inside of gzip and zlib.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.dumps import Piece

_LEAST = 9
"""Letters of the shortest part of an encoded value that is looked for."""


def _word() -> str:
    """Twelve letters that stand nowhere else."""
    return "".join(chr(ord("g") + int(digit, 16)) for digit in uuid.uuid4().hex[:12])


@dataclass(frozen=True)
class Person:
    """What a vCon, and an error that a plugin raises, say of one person."""

    tel: str = field(default_factory=lambda: f"+1201{2000000 + uuid.uuid4().int % 7999999}")
    mail: str = field(default_factory=lambda: f"{_word()}@people.example")
    name: str = field(default_factory=lambda: f"{_word().title()} {_word().title()}")
    said: str = field(default_factory=lambda: f"my {_word()} never arrived")
    error: str = field(default_factory=lambda: f"no account of {_word()}")

    def vcon(self, **changes: Any) -> dict[str, Any]:
        """A conversation of this person."""
        start = "2026-03-01T09:00:00+00:00"
        text = {"type": "text", "start": start, "parties": [0], "mediatype": "text/plain"}
        return {
            "vcon": "0.4.0",
            "uuid": str(uuid.uuid4()),
            "created_at": start,
            "subject": f"a call of {self.name}",
            "parties": [{"tel": self.tel, "mailto": self.mail, "name": self.name}],
            "dialog": [{**text, "body": self.said, "encoding": "none"}],
            "analysis": [],
            "attachments": [],
            **changes,
        }

    @property
    def failure(self) -> str:
        """The text of an error that repeats all of it."""
        return f"{self.error}: {self.name}, {self.tel}, {self.mail} said {self.said}"

    def traces(self, pieces: Iterable[Piece]) -> dict[str, set[str]]:
        """Which of the values stand where."""
        found: dict[str, set[str]] = {}
        spellings = list(self._spellings())
        for where, piece in pieces:
            for text in _unpacked(piece):
                lower = text.lower()
                hits = {
                    what
                    for what, each, any_case in spellings
                    if each in (lower if any_case else text)
                }
                if hits:
                    found.setdefault(where, set()).update(hits)
        return found

    def _spellings(self) -> Iterator[tuple[str, bytes, bool]]:
        """Name of the value, a spelling, and whether that is found in any case."""
        values = {"tel": [self.tel, self.tel[2:]], "mail": [self.mail]}
        values |= {"name": [self.name, *self.name.split()]}
        values |= {"said": [self.said, self.said.split()[1]]}
        values |= {"error": [self.error.split()[-1]]}
        for what, each in ((what, each) for what, given in values.items() for each in given):
            raw = each.encode()
            for form in {raw.lower(), quote(each, safe="").lower().encode(), raw.hex().encode()}:
                yield what, form, True
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                for before in range(3):
                    inner = encode(b"?" * before + raw)[4 if before else 0 :]
                    if (before + len(raw)) % 3:
                        inner = inner[:-4]
                    if len(inner) >= _LEAST:
                        yield what, inner, False
            for name in ("md5", "sha1", "sha256", "sha512"):
                digest = hashlib.new(name, raw).hexdigest().encode()
                yield what, digest, True


def _unpacked(piece: bytes) -> Iterator[bytes]:
    yield piece
    for magic in (b"\x1f\x8b\x08", b"x\x9c", b"x\x01", b"x\xda"):
        at = piece.find(magic)
        if at >= 0:
            try:
                inner = zlib.decompressobj(47).decompress(piece[at:])
            except (zlib.error, gzip.BadGzipFile):
                continue
            yield inner
