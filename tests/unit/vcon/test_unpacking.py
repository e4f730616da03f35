"""vCons in gzip: in every spelling, and never unpacked beyond the limit."""

import gzip
import tracemalloc
import zlib
from base64 import b64encode, urlsafe_b64encode

import orjson
import pytest

from core.errors import InvalidError, TooLargeError
from pipeline.law.reading.packing import MOST_MEMBERS, parsed, unpacked
from pipeline.vcon.envelope import as_object

VCON = {"uuid": "0190163d-8694-739b-aea5-966c26f8ad91", "subject": "\u00fc?>" * 20}
TEXT = orjson.dumps(VCON)
PACKED = gzip.compress(TEXT, mtime=0)
LIMIT = 10_000

SPELLINGS = [
    VCON,
    TEXT,
    PACKED,
    gzip.compress(TEXT[:9], mtime=0) + gzip.compress(TEXT[9:], mtime=0),
    PACKED + b"\0" * 512,
    b64encode(PACKED).decode(),
    urlsafe_b64encode(PACKED).decode().rstrip("="),
    f" {b64encode(PACKED).decode()}\n",
]

NO_VCONS = [
    *("", "text", "{}", b64encode(TEXT).decode(), "H4sI*", 7, None, [VCON]),
    *(
        PACKED[:-9],
        PACKED + b"rest",
        b"\x1f\x8b",
        b"{",
        gzip.compress(b"[]", mtime=0),
        gzip.compress(b"{", mtime=0),
    ),
]


@pytest.mark.parametrize("given", SPELLINGS)
def test_a_vcon_is_read_from_every_spelling(given):
    """The object, its bytes, gzip with one member or several, gzip in either base64."""
    assert as_object(given, LIMIT) == VCON


@pytest.mark.parametrize("given", NO_VCONS)
def test_what_is_none_is_refused(given):
    """Other texts, other values, and a file that was cut off."""
    with pytest.raises(InvalidError, match="vcon: "):
        as_object(given, LIMIT)


def test_very_many_members_are_not_read():
    """Each would copy the rest of the file: 8 MB of empty ones took minutes."""
    empty = gzip.compress(b"", mtime=0)
    assert parsed(empty * (MOST_MEMBERS - 1) + PACKED, LIMIT) == VCON
    with pytest.raises(ValueError, match="more than 100 members"):
        unpacked(empty * 400_000, LIMIT)
    with pytest.raises(InvalidError, match="more than 100 members"):
        as_object(empty * MOST_MEMBERS + PACKED, LIMIT)


@pytest.mark.parametrize("members", [1, 3])
def test_the_limit_is_that_of_the_unpacked_form(members):
    """To the byte, over all members together."""
    step = -(-len(TEXT) // members)
    packed = b"".join(
        gzip.compress(TEXT[at : at + step], mtime=0) for at in range(0, len(TEXT), step)
    )
    assert as_object(packed, len(TEXT)) == VCON
    with pytest.raises(TooLargeError, match=f"more than {len(TEXT) - 1} bytes unpacked"):
        as_object(packed, len(TEXT) - 1)


def test_a_small_file_that_holds_much_costs_no_more_than_the_limit():
    """Unpacking stops there; 200 MB of zeros are never in memory."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(200)) + packer.flush()
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            as_object(bomb, 1_000_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10_000_000


def test_text_is_json_only():
    """As storages give it."""
    assert parsed(TEXT.decode(), LIMIT) == VCON
