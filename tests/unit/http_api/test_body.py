"""Bodies of requests: their size, their encodings, and the memory they share."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from core.errors import PatchcordError, TooLargeError, UnavailableError
from http_api.serving.body import (
    MOST_MEMBERS,
    OUTPUT_PIECE,
    BadBodyError,
    Body,
    BodyMemory,
    DisconnectedError,
    Headers,
    Receive,
    UnsupportedEncodingError,
    read_body,
)

LIMIT = 1_000_000
VCON = b'{"vcon": "0.4.0", "uuid": "018f2a5e-0000-7000-8000-000000000001"}'
GZIP = [(b"content-encoding", b"gzip")]
DEFLATE = [(b"content-encoding", b"deflate")]


def receiving(parts: Iterable[bytes], *, cut: bool = False) -> Receive:
    """An ASGI `receive` that gives these parts, then the end, or with `cut` a disconnect."""

    async def messages() -> AsyncIterator[dict[str, object]]:
        for part in parts:
            yield {"type": "http.request", "body": part, "more_body": True}
        yield {"type": "http.disconnect"} if cut else {"type": "http.request"}

    return aiter(messages()).__anext__


async def read(
    parts: Iterable[bytes], headers: Headers = (), limit: int = LIMIT, most: int = 10 * LIMIT
) -> Body:
    """The body of a request that is alone."""
    memory = BodyMemory(most)
    with memory.share() as share:
        body = await read_body(receiving(parts), headers, limit, share)
    assert memory.held_bytes == 0
    return body


def in_pieces(content: bytes, size: int) -> list[bytes]:
    """The content, cut up."""
    return [content[at : at + size] for at in range(0, len(content), size)]


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_pieces_become_one_body(size: int) -> None:
    """Unpacked and raw are the same bytes when there is no encoding."""
    assert await read(in_pieces(VCON, size)) == (VCON, VCON)


@pytest.mark.parametrize("value", [b"identity", b"", b"Identity , identity"])
async def test_identity_is_no_encoding(value: bytes) -> None:
    """It may be named in any case, and repeated."""
    assert (await read([VCON], [(b"content-encoding", value)])).content == VCON


async def test_no_body_is_empty() -> None:
    """Also for a client that names an encoding in each request."""
    assert await read([]) == (b"", b"")
    assert await read([], GZIP) == (b"", b"")


class Unread:
    """A `receive` that must not be called."""

    async def __call__(self) -> dict[str, object]:
        raise AssertionError


@pytest.mark.parametrize("length", [b"1000001", b"9" * 19, b"9" * 5000])
async def test_a_length_above_the_limit_is_refused_unread(length: bytes) -> None:
    """The client learns it before it has sent anything."""
    with BodyMemory(LIMIT).share() as share, pytest.raises(TooLargeError):
        await read_body(Unread(), [(b"content-length", length)], LIMIT, share)


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"5")]])
async def test_bytes_are_counted_as_they_come(headers: Headers) -> None:
    """A body without a length, or with a wrong one, is refused at the limit, not at its end."""
    taken = 0

    def endless() -> Iterable[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b" " * 100_000

    with pytest.raises(TooLargeError, match="1000000 bytes"):
        await read(endless(), headers)
    assert taken == 11


async def test_a_body_of_the_limit_is_accepted() -> None:
    """The limit is the last size that is accepted, packed or not."""
    content = b"x" * LIMIT
    assert (await read([content], [(b"content-length", b"1000000")])).content == content
    assert (await read([gzip.compress(content)], GZIP)).content == content


@pytest.mark.parametrize("size", [1, 5, 100_000])
@pytest.mark.parametrize(
    ("pack", "encoding"),
    [(gzip.compress, b"gzip"), (gzip.compress, b"X-GZIP"), (zlib.compress, b"deflate")],
)
async def test_packed_bodies_are_unpacked(
    pack: Callable[[bytes], bytes], encoding: bytes, size: int
) -> None:
    """In pieces of any size; the raw bytes stay as they came."""
    packed = pack(VCON)
    body = await read(in_pieces(packed, size), [(b"content-encoding", encoding)])
    assert body == (packed, VCON)


@pytest.mark.parametrize("size", [OUTPUT_PIECE, 3 * OUTPUT_PIECE, 3 * OUTPUT_PIECE + 1])
async def test_a_whole_number_of_pieces_is_unpacked(size: int) -> None:
    """What the library still holds after its input is used up is taken, too."""
    assert (await read([gzip.compress(b"x" * size)], GZIP)).content == b"x" * size


async def test_several_members_are_one_body() -> None:
    """As `cat a.gz b.gz` makes them, also cut between and within the members."""
    packed = gzip.compress(VCON[:20]) + gzip.compress(b"") + gzip.compress(VCON[20:])
    for size in (1, 23, 10_000):
        assert (await read(in_pieces(packed, size), GZIP)).content == VCON


PACKED = gzip.compress(VCON)


@pytest.mark.parametrize(
    ("packed", "headers"),
    [
        (PACKED[:-1], GZIP),
        (PACKED[:5], GZIP),
        (PACKED + b"x", GZIP),
        (PACKED + b"\0" * 10, GZIP),
        (PACKED + PACKED[:10], GZIP),
        (PACKED[:-8] + b"\0" * 8, GZIP),
        (VCON, GZIP),
        (zlib.compress(VCON), GZIP),
        (PACKED, DEFLATE),
        (zlib.compress(VCON) + b"x", DEFLATE),
        (zlib.compress(VCON) * 2, DEFLATE),
        (zlib.compress(VCON)[:-1], DEFLATE),
        (gzip.compress(b"") * (MOST_MEMBERS + 1), GZIP),
    ],
    ids=[
        *("cut", "cut in the head", "garbage", "padding", "half a member", "checksum", "plain"),
        *("zlib", "gzip", "zlib and garbage", "zlib twice", "zlib cut", "members"),
    ],
)
async def test_what_is_not_packed_well_is_refused(packed: bytes, headers: Headers) -> None:
    """In one piece, and byte by byte."""
    for size in (1, len(packed)):
        with pytest.raises(BadBodyError):
            await read(in_pieces(packed, size), headers)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-encoding", b"br")],
        [(b"content-encoding", b"gzip, gzip")],
        [*GZIP, *GZIP],
        [*GZIP, *DEFLATE],
        [(b"content-encoding", b"gzip;q=1")],
        [(b"content-encoding", b"gz\x00ip")],
    ],
)
async def test_other_encodings_are_refused_unread(headers: Headers) -> None:
    """Also one that is applied twice: each costs as much as a body of the limit."""
    with BodyMemory(LIMIT).share() as share, pytest.raises(UnsupportedEncodingError):
        await read_body(Unread(), headers, LIMIT, share)


async def test_a_bomb_costs_the_limit_and_a_piece() -> None:
    """A hundred times the limit in zeros; the body is no further unpacked than the limit."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(10_000_000)) for _ in range(12)) + packer.flush()
    assert len(bomb) < LIMIT
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="Unpacked"):
            await read([bomb], GZIP)
        assert tracemalloc.get_traced_memory()[1] < 2 * LIMIT + OUTPUT_PIECE
    finally:
        tracemalloc.stop()


async def test_tiny_pieces_take_no_more_memory_than_large_ones() -> None:
    """Half a million pieces of two bytes are kept in one array."""
    tracemalloc.start()
    try:
        await read(b"ab" for _ in range(LIMIT // 20))
        assert tracemalloc.get_traced_memory()[1] < LIMIT // 2
    finally:
        tracemalloc.stop()


async def test_all_requests_share_the_memory() -> None:
    """What would exceed it is refused, and accepted after another request has ended."""
    memory = BodyMemory(1000)
    with memory.share() as first:
        await read_body(receiving([b"x" * 600]), (), LIMIT, first)
        with memory.share() as second, pytest.raises(UnavailableError):
            await read_body(receiving([b"x" * 300, b"x" * 300]), (), LIMIT, second)
        assert memory.held_bytes == 600
        packed = gzip.compress(bytes(600))
        with memory.share() as second, pytest.raises(UnavailableError):
            await read_body(receiving([packed]), GZIP, LIMIT, second)
    with memory.share() as third:
        assert (await read_body(receiving([packed]), GZIP, LIMIT, third)).content == bytes(600)
        assert memory.held_bytes == 600 + len(packed)


async def test_a_body_that_is_alone_may_exceed_the_shared_memory() -> None:
    """A body within the limit of one body can always be sent, in one piece or in many."""
    assert len((await read([b"x" * 6000], most=1000)).content) == 6000
    assert len((await read([b"x" * 600] * 10, most=1000)).content) == 6000


@pytest.mark.parametrize("headers", [[], GZIP])
async def test_a_disconnected_client_holds_no_memory(headers: Headers) -> None:
    """A body that was cut off is no body, and its bytes are given back."""
    memory = BodyMemory(LIMIT)
    with pytest.raises(DisconnectedError), memory.share() as share:
        await read_body(receiving([PACKED[:20]], cut=True), headers, LIMIT, share)
    assert memory.held_bytes == 0


def test_each_error_is_one_that_callers_can_map() -> None:
    """All are the service's own."""
    for kind in (BadBodyError, UnsupportedEncodingError, DisconnectedError):
        assert issubclass(kind, PatchcordError)
