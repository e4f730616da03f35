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

FROM = 3_000
"""Bytes of a document from which on a patch is made; a smaller one is written as quickly."""
LONG = 32_000
"""Bytes of an array from which on its elements are compared one by one."""
PREFIX = b"patch:"
_MOST_ELEMENTS = 1000
"""Elements of an array that are compared one by one, and that are appended in one command."""
_NAME = re.compile(r"""[^"'\\\x00-\x1f\ud800-\udfff]{1,64}""")
"""Names that need no escape in a path."""
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])

type _Member = tuple[str, msgspec.Raw]
type _Members = dict[str, msgspec.Raw]
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
        members, old, new = _differing(
            before.encode() if isinstance(before, str) else before, after
        )
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
    return b"%b%d\n%b" % (PREFIX, members, b"".join(entries))


def was_changed(error: CommandRefused) -> bool:
    """Whether a script refused a patch because the document is not the one that was read."""
    return str(error).startswith("CHANGED")


def _members(text: bytes) -> _Members:
    return _MEMBERS.decode(text)


def _differing(before: bytes, after: bytes) -> tuple[int, _Members, _Members]:
    """The number of members before, and both documents without equal members at both ends.

    Only the later text is parsed as a whole: a small document is compared in less time than Redis
    takes to parse it. A member of it that stands in the earlier text where a member begins, and
    before a comma or the end, is that member: no value is the beginning of another one there.
    """
    new = _members(after)
    if not (before.startswith(b"{") and before.endswith(b"}")):
        return len(old := _members(before)), old, new
    left = list(new.items())
    first, begin = _equal_at_start(before, left)
    del left[:first]
    last, end = _equal_at_end(before, left, begin)
    middle = before[begin:end]
    old = _members(b"{%b}" % middle) if middle else {}
    return first + last + len(old), old, dict(left[: len(left) - last])


def _equal_at_start(before: bytes, members: list[_Member]) -> tuple[int, int]:
    """How many members are equal from the first on, and where the next one begins."""
    begin = 1
    for count, (name, raw) in enumerate(members):
        head = b'"%b":' % name.encode()
        value = begin + len(head)
        end = value + len(raw)
        is_equal = before.startswith(head, begin) and before[value:end] == bytes(raw)
        is_equal = is_equal and _is_plain(name)
        if not is_equal or before[end : end + 1] not in (b",", b"}"):
            return count, begin
        begin = end + 1
    return len(members), begin


def _equal_at_end(before: bytes, members: list[_Member], begin: int) -> tuple[int, int]:
    """How many members are equal up to the last one, and where the comma before them is.

    `begin`: where the first member begins that is not known as equal.
    """
    end = len(before) - 1
    for count, (name, raw) in enumerate(reversed(members)):
        text = b',"%b":%b' % (name.encode(), raw)
        comma = end - len(text)
        if comma < begin - 1 or not before.startswith(text, comma) or not _is_plain(name):
            return count, end
        end = comma
    return len(members), end


def _is_plain(name: str) -> bool:
    """Whether it stands in JSON as it is; one with quotes could be the text of several members."""
    return '"' not in name and "\\" not in name


def _changes(old: _Members, new: _Members) -> Iterator[_Entry]:
    for name, raw in new.items():
        text, was = bytes(raw), bytes(old[name]) if name in old else None
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
    if was is None or len(text) < LONG or not (was[:1] == text[:1] == b"["):
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
