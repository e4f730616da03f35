"""A backup's file: what is read is what was written, and nothing else is taken for a backup."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidError
from pipeline.operator.backup import format as backup_format
from pipeline.operator.backup.format import MAGIC, Reader, Writer

ROWS = [["string", "a", "\udcff\udc80binary"], ["list", "", "", "ä" * 1000], ["x" * 600_000]]
texts = st.binary(max_size=50).map(lambda data: data.decode("utf-8", "surrogateescape"))


def written(rows: list[list[str]] = ROWS) -> bytes:
    """A backup with one part of rows and one of raw data."""
    out = BytesIO()
    file = Writer(out, {"revision": "0001"})
    with file.part("keys") as part:
        for row in rows:
            part.row(*row)
    with file.part("table:t", columns=["a"]) as part:
        part.raw(b"1\n2\n", 2)
    file.finish()
    return out.getvalue()


def read(data: bytes) -> tuple[list[list[str]], bytes]:
    """What is in it."""
    rows, raw = [], b""
    for part in Reader(BytesIO(data)).parts():
        if part.name == "keys":
            rows = list(part.rows())
        else:
            raw += b"".join(part.data())
    return rows, raw


def test_what_was_written_is_read() -> None:
    """Any bytes, also larger than a piece."""
    assert read(written()) == (ROWS, b"1\n2\n")
    reader = Reader(BytesIO(written()))
    assert reader.header == {"format": 1, "revision": "0001"}


@given(st.lists(st.lists(texts, min_size=1, max_size=5), max_size=5))
def test_any_rows_are_read_as_they_were_written(rows: list[list[str]]) -> None:
    """Empty fields, line breaks and bytes that are not UTF-8."""
    assert read(written(rows))[0] == rows


def test_every_flipped_bit_is_found() -> None:
    """In the frames, the data, the sums and the end."""
    data = written([["string", "key", "value"]])
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            with pytest.raises(InvalidError):
                read(bytes(damaged))


def test_every_truncated_file_is_found() -> None:
    """Wherever it ends; and what follows the end."""
    data = written([["string", "key", "value"]])
    for length in range(len(data)):
        with pytest.raises(InvalidError):
            read(data[:length])
    with pytest.raises(InvalidError, match="something follows the end"):
        read(data + b"x")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "it is empty"),
        (b"REDIS0011\xfa\tvalkey-ver", "does not begin as one"),
        (b"patchcord backup 2\n{}", "has format 2, this version reads format 1"),
        (MAGIC, "ends too early"),
        (MAGIC + b"H\xff\xff\xff\xff", "this is no frame"),
        (MAGIC + b"H\x00\x00\x00\x02[]", "should have JSON"),
        (MAGIC + b"D\x00\x00\x00\x02{}", "header is missing"),
    ],
)
def test_other_files_are_refused(data: bytes, error: str) -> None:
    """With what is wrong, and where."""
    with pytest.raises(InvalidError, match=error):
        read(data)


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (b"\x00\x00\x00\x00", "has 0 fields"),
        (b"\xff\xff\xff\xff", "has 4294967295 fields"),
        (b"\x00\x00\x00\x01\xff\xff\xff\xff", "has 4294967295 bytes"),
        (b"\x00\x00\x00\x02\x00\x00\x00\x01x", "is cut off"),
    ],
)
def test_lengths_that_no_backup_has_are_refused(row: bytes, error: str) -> None:
    """Before anything of that length is kept."""
    out = BytesIO()
    file = Writer(out, {})
    with file.part("keys") as part:
        part.raw(row, 1)
    file.finish()
    with pytest.raises(InvalidError, match=error):
        read(out.getvalue())


def test_data_that_unpack_to_very_much_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may unpack to gigabytes; no more than a piece is in memory."""
    monkeypatch.setattr(backup_format, "PIECE", 1000)
    out = BytesIO()
    file = Writer(out, {})
    with file.part("table:t") as written_part:
        written_part.raw(b"x" * 1_000_000, 1)
    file.finish()
    out.seek(0)
    part = next(Reader(out).parts())
    assert max(map(len, part.data())) <= 1000
    assert part.totals.bytes == 1_000_000
