"""The format of a backup: one file, read and written from front to back in constant memory.

    file  = MAGIC, frames
    frame = kind (1 byte), length (4 bytes, big-endian), payload

    H  the header, JSON: time, version of the service, revision of the database, number of keys
    B  a part begins, JSON: its name, and what is particular to it
    D  a piece of the part's data, as a zlib stream
    E  the part ends, JSON: rows, bytes and SHA-256 of its data before compression
    Z  the file ends, JSON: SHA-256 of all bytes before this frame

A part of Redis consists of rows; a row is the number of its fields (4 bytes) and each field behind
its length (4 bytes), so that a key or value may have any bytes. A table's part is the text of
Postgres' `COPY`. `Reader` believes nothing: lengths are bounded before anything is kept, and it
raises `InvalidError` for everything that is not as it was written.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from core.errors import InvalidError
from pipeline.redis_client.driver.batches import ENCODING_ERRORS

FORMAT = 1
_KIND_OF_FILE = b"patchcord backup "
MAGIC = b"%b%d\n" % (_KIND_OF_FILE, FORMAT)
LEVEL = 3
"""Of zlib: about 60 MB of JSON per second, to a fifth."""
PIECE = 256 * 1024
"""Bytes of one data frame, about, and of data that are unpacked at once."""
LONGEST_FRAME = 4 * 1024 * 1024
MOST_FIELDS = 100_000
"""Fields of a row."""
LONGEST_FIELD = 512 * 1024 * 1024
"""The longest value that Redis keeps."""
_FRAME = struct.Struct(">cI")
_NUMBER = struct.Struct(">I")
DAMAGED = "; the backup is damaged: nothing of it was written, use another copy"

type Field = str | bytes | int | float
type Row = list[str]


def _encoded(field: Field) -> bytes:
    if isinstance(field, bytes):
        return field
    text = field if isinstance(field, str) else repr(field)
    return text.encode("utf-8", ENCODING_ERRORS)


@dataclass(slots=True)
class Totals:
    """What a part has, before compression."""

    rows: int = 0
    bytes: int = 0
    sha256: str = ""


class PartWriter:
    """Writes the data of one part."""

    def __init__(self, file: "Writer") -> None:
        self._file = file
        self._packer = zlib.compressobj(LEVEL)
        self._digest = hashlib.sha256()
        self._packed = bytearray()
        self.totals = Totals()

    def row(self, *fields: Field) -> None:
        """Write one row."""
        texts = [_encoded(field) for field in fields]
        data = [_NUMBER.pack(len(texts))]
        for text in texts:
            data += (_NUMBER.pack(len(text)), text)
        self.raw(b"".join(data), rows=1)

    def raw(self, data: bytes, rows: int) -> None:
        """Write data as they are."""
        self.totals.rows += rows
        self.totals.bytes += len(data)
        self._digest.update(data)
        self._packed += self._packer.compress(data)
        if len(self._packed) >= PIECE:
            self._flush()

    def _flush(self) -> None:
        view = memoryview(self._packed)
        for first in range(0, len(view), PIECE):
            self._file.frame(b"D", bytes(view[first : first + PIECE]))
        view.release()
        self._packed.clear()

    def end(self) -> None:
        """Write what is left, and the sum."""
        self._packed += self._packer.flush()
        self._flush()
        self.totals.sha256 = self._digest.hexdigest()
        told = {"rows": self.totals.rows, "bytes": self.totals.bytes, "sha256": self.totals.sha256}
        self._file.frame(b"E", orjson.dumps(told))


class Writer:
    """Writes a backup into a stream of bytes."""

    def __init__(self, out: BinaryIO, header: Mapping[str, Any]) -> None:
        self._out = out
        self._digest = hashlib.sha256()
        self.size = 0
        self.parts: dict[str, Totals] = {}
        self._write(MAGIC)
        self.frame(b"H", orjson.dumps({"format": FORMAT, **header}))

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self.size += len(data)
        self._out.write(data)

    def frame(self, kind: bytes, payload: bytes) -> None:
        """Write one frame."""
        self._write(_FRAME.pack(kind, len(payload)))
        self._write(payload)

    @contextmanager
    def part(self, name: str, **about: Any) -> Iterator[PartWriter]:
        """Write one part inside the block."""
        self.frame(b"B", orjson.dumps({"part": name, **about}))
        part = PartWriter(self)
        yield part
        part.end()
        self.parts[name] = part.totals

    def finish(self) -> str:
        """Write the end of the file; returns the SHA-256 of what is before it."""
        digest = self._digest.hexdigest()
        self.frame(b"Z", orjson.dumps({"sha256": digest}))
        return digest


class Part:
    """One part of a file that is being read; its data are read once, or skipped."""

    def __init__(self, file: "Reader", about: Mapping[str, Any]) -> None:
        self._file = file
        self.about = about
        self.name = str(about.get("part", ""))
        self.totals = Totals()
        self._end: Mapping[str, Any] | None = None

    def data(self) -> Iterator[bytes]:
        """The data before compression, piece by piece; the sum is checked at the end.

        Raises:
            InvalidError: the part is damaged.
        """
        unpacker, digest = zlib.decompressobj(), hashlib.sha256()
        for packed in self._pieces():
            try:
                piece = unpacker.decompress(packed, PIECE)
                while piece:
                    digest.update(piece)
                    self.totals.bytes += len(piece)
                    yield piece
                    piece = unpacker.decompress(unpacker.unconsumed_tail, PIECE)
            except zlib.error:
                raise self._file.damaged(f"part {self.name} cannot be unpacked") from None
        if not unpacker.eof or unpacker.unused_data:
            raise self._file.damaged(f"the data of part {self.name} do not end as they should")
        self.totals.sha256 = digest.hexdigest()
        if self._end is None or self._end.get("sha256") != self.totals.sha256:
            raise self._file.damaged(f"the sum of part {self.name} is wrong")

    def rows(self) -> Iterator[Row]:
        """The rows of a part of Redis.

        Raises:
            InvalidError: the part is damaged.
        """
        pending = bytearray()
        for piece in self.data():
            pending += piece
            at = 0
            while (found := self._row(pending, at)) is not None:
                row, at = found
                self.totals.rows += 1
                yield row
            del pending[:at]
        if pending:
            raise self._file.damaged(f"the last row of part {self.name} is cut off")

    def _row(self, data: bytearray, at: int) -> tuple[Row, int] | None:
        """The row at a position and the position after it; None if it is not complete yet."""
        if len(data) < at + 4:
            return None
        [count] = _NUMBER.unpack_from(data, at)
        if not 0 < count <= MOST_FIELDS:
            raise self._file.damaged(f"a row of part {self.name} has {count} fields")
        row, at = [], at + 4
        for _ in range(count):
            if len(data) < at + 4:
                return None
            [length] = _NUMBER.unpack_from(data, at)
            if length > LONGEST_FIELD:
                raise self._file.damaged(f"a field of part {self.name} has {length} bytes")
            at += 4
            if len(data) < at + length:
                return None
            row.append(data[at : at + length].decode("utf-8", ENCODING_ERRORS))
            at += length
        return row, at

    def skip(self) -> None:
        """Read the part without unpacking it."""
        for _ in self._pieces():
            pass

    def _pieces(self) -> Iterator[bytes]:
        while True:
            kind, payload = self._file.frame()
            if kind == b"E":
                self._end = self._file.told(payload)
                return
            if kind != b"D":
                raise self._file.damaged(f"part {self.name} is not ended")
            yield payload


class Reader:
    """Reads a backup; `header` is there at once, the parts come in the order of the file."""

    def __init__(self, source: BinaryIO) -> None:
        """Read the header.

        Raises:
            InvalidError: it is no backup, or one of another format.
        """
        self._source = source
        self._digest = hashlib.sha256()
        self._at = 0
        self._check_magic()
        kind, payload = self.frame()
        if kind != b"H":
            raise self.damaged("the header is missing")
        self.header = self.told(payload)
        self.sha256 = ""

    def _check_magic(self) -> None:
        magic = self._source.read(len(MAGIC))
        self._count(magic)
        if magic == MAGIC:
            return
        if magic.startswith(_KIND_OF_FILE):
            number = magic.removeprefix(_KIND_OF_FILE).decode("ascii", "replace").strip()
            msg = f"the backup has format {number}, this version reads format {FORMAT}:"
            raise InvalidError(f"{msg} restore it with the version that wrote it")
        if magic:
            raise InvalidError("this is no backup: it does not begin as one; was it decrypted?")
        raise InvalidError("this is no backup: it is empty")

    def _count(self, data: bytes) -> None:
        self._digest.update(data)
        self._at += len(data)

    def damaged(self, what: str) -> InvalidError:
        """The error for a damaged file."""
        return InvalidError(f"byte {self._at}: {what}{DAMAGED}")

    def frame(self) -> tuple[bytes, bytes]:
        """The next frame: its kind and payload."""
        head = self._source.read(_FRAME.size)
        if len(head) < _FRAME.size:
            raise self.damaged("the file ends too early")
        kind, length = _FRAME.unpack(head)
        if kind not in (b"H", b"B", b"D", b"E", b"Z") or length > LONGEST_FRAME:
            raise self.damaged("this is no frame of a backup")
        payload = self._source.read(length)
        if len(payload) < length:
            raise self.damaged("the file ends too early")
        if kind != b"Z":
            self._count(head)
            self._count(payload)
        return kind, payload

    def told(self, payload: bytes) -> Mapping[str, Any]:
        """The JSON object in a frame."""
        try:
            found = orjson.loads(payload)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self.damaged("a frame that should have JSON has none")
        return found

    def parts(self) -> Iterator[Part]:
        """The parts; the data of each must be read or skipped before the next.

        Raises:
            InvalidError: the file is damaged; at the end also if its sum is wrong.
        """
        while True:
            kind, payload = self.frame()
            if kind == b"Z":
                self._end(self.told(payload))
                return
            if kind != b"B":
                raise self.damaged("a part should begin here")
            yield Part(self, self.told(payload))

    def _end(self, told: Mapping[str, Any]) -> None:
        self.sha256 = self._digest.hexdigest()
        if told.get("sha256") != self.sha256:
            raise self.damaged("the sum of the file is wrong")
        if self._source.read(1):
            raise self.damaged("something follows the end of the backup")
