"""What changed between two texts of one document, as a patch that a script applies by paths.

A link that adds a tag to a vCon of 5 MB changes a hundred bytes of it. The patch has only the
changed members, so that the recording is neither sent nor parsed by Redis again. It stands in the
place of the document in the arguments of `journal.lua` and `settle.lua`, which apply it together
with the checkpoint (`scripts/parts/patch.lua`):

    patch:{members of the document before}
    {kind},{bytes of the path},{bytes of the text},{length of the array before}
    {path}{text}...

Kinds: `S` sets a path, `D` deletes a member, `A` appends texts, a line each, to an array. Members
are compared as text: two texts of one value are taken for a change, which does no harm.

The script changes nothing and replies `CHANGED` if the document is gone, or has another number of
members or another length of a changed array than the text that was read: another program wrote it
meanwhile, or the call is repeated after a lost reply. Then the whole document is written. Members
that the patch does not name are not compared: what another program wrote into them stays.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from pipeline.redis_client.client import CommandRefused
from pipeline.redis_client.document_pieces import is_large

FROM = 32_000
"""Bytes of a document from which on a patch is made; a smaller one is written as quickly."""
PREFIX = b"patch:"
_MOST_ELEMENTS = 1000
"""Elements of an array that are compared one by one, and that are appended in one command."""
_NAME = re.compile(r"""[^"'\\\x00-\x1f\ud800-\udfff]{1,64}""")
"""Names that need no escape in a path."""
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])

type _Entry = tuple[bytes, str, bytes, int]
"""Kind, path, text, and the length of the array before."""


class _Whole(Exception):  # noqa: N818 -- control flow, not an error
    """The change cannot be made by paths, or the whole document is quicker."""


def patch_of(before: bytes | str, after: bytes) -> bytes | None:
    """The patch from one text to the other.

    None if the document is small, more than half of it has changed, or the patch itself would hold
    up Redis or has a name that needs an escape.
    """
    if len(after) < FROM:
        return None
    try:
        old, new = _members(before), _members(after)
        entries, size = list[bytes](), 0
        for entry in _changes(old, new):
            entries.append(_written(entry))
            size += len(entries[-1])
            if 2 * size > len(after):
                return None
    except (_Whole, ValueError, RecursionError):  # a text that is no object, or not valid Unicode
        return None
    if is_large(b"".join(entries)):
        return None
    return b"%b%d\n%b" % (PREFIX, len(old), b"".join(entries))


def was_changed(error: CommandRefused) -> bool:
    """Whether a script refused a patch because the document is not the one that was read."""
    return str(error).startswith("CHANGED")


def _members(text: bytes | str) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in _MEMBERS.decode(text).items()}


def _changes(old: dict[str, bytes], new: dict[str, bytes]) -> Iterator[_Entry]:
    for name, text in new.items():
        was = old.get(name)
        if was == text:
            continue
        if not _NAME.fullmatch(name):
            raise _Whole
        yield from _changed(f'$["{name}"]', was, text)
    for name in old.keys() - new.keys():
        if not _NAME.fullmatch(name):
            raise _Whole
        yield b"D", f'$["{name}"]', b"", -1


def _changed(path: str, was: bytes | None, text: bytes) -> Iterator[_Entry]:
    """The changes of one member: of elements of a large array, else of the whole member."""
    if was is None or len(text) < FROM or not (was[:1] == text[:1] == b"["):
        yield b"S", path, text, -1
        return
    old = _ELEMENTS.decode(was)
    if text.startswith(was[:-1]) and text[len(was) - 1 : len(was)] == b",":  # only appended to
        yield _appended(path, len(old), _ELEMENTS.decode(b"[" + text[len(was) :]))
        return
    new = _ELEMENTS.decode(text)
    if len(new) < len(old) or len(old) > _MOST_ELEMENTS:
        yield b"S", path, text, -1
        return
    for place, (one, other) in enumerate(zip(old, new, strict=False)):
        if bytes(one) != bytes(other):
            yield b"S", f"{path}[{place}]", bytes(other), len(old)
    if len(new) > len(old):
        yield _appended(path, len(old), new[len(old) :])


def _appended(path: str, length: int, values: list[Any]) -> _Entry:
    if len(values) > _MOST_ELEMENTS:
        raise _Whole
    return b"A", path, b"\n".join(map(bytes, values)), length


def _written(entry: _Entry) -> bytes:
    kind, path, text, length = entry
    named = path.encode()
    return b"%b,%d,%d,%d\n%b%b" % (kind, len(named), len(text), length, named, text)
