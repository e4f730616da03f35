"""Frames taken off bytes and put into bytes are those that the driver reads and writes."""

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from core.plugboard.transport import LONGEST_HEADER, frame_size, masked_texts, whole_texts

sizes = st.one_of(st.integers(0, 300), st.sampled_from([65_535, 65_536, 70_000]))
bodies = sizes.map(lambda size: b"x" * size)


def from_server(opcode: Opcode, body: bytes, *, fin: bool = True) -> bytes:
    """A frame as a server writes it."""
    return Frame(opcode, body, fin).serialize(mask=False)


@given(st.lists(bodies, max_size=5), st.integers(0, 400))
def test_whole_messages_are_taken_and_the_rest_is_left(texts: list[bytes], cut: int) -> None:
    """Every text message that is all there, in order; the first that is not stays as it is."""
    frames = [from_server(Opcode.TEXT, text) for text in texts]
    data = b"".join(frames)[: max(0, sum(map(len, frames)) - cut)]
    found, used = whole_texts(data, 2**20)
    assert found == texts[: len(found)]
    assert used == sum(map(len, frames[: len(found)]))
    assert found == texts or len(data) - used < len(frames[len(found)])


def test_only_whole_text_messages_are_taken() -> None:
    """Fragments, control frames, masked frames and messages too large are left where they are."""
    first = from_server(Opcode.TEXT, b"one")
    for other in (
        from_server(Opcode.TEXT, b"part", fin=False),
        from_server(Opcode.CONT, b"part"),
        from_server(Opcode.PING, b""),
        from_server(Opcode.CLOSE, b""),
        Frame(Opcode.TEXT, b"masked").serialize(mask=True),
        from_server(Opcode.TEXT, b"x" * 101),
    ):
        assert whole_texts(first + other + first, 100) == ([b"one"], len(first))


@given(bodies, st.booleans(), st.sampled_from([Opcode.TEXT, Opcode.CONT, Opcode.PONG]))
def test_the_size_of_a_frame_is_known_from_its_head(body: bytes, mask: bool, kind: Opcode) -> None:
    """The header is enough."""
    size = len(body) if kind is not Opcode.PONG else min(len(body), 125)
    frame = Frame(kind, body[:size]).serialize(mask=mask)
    assert frame_size(frame + b"more") == frame_size(frame[:LONGEST_HEADER]) == len(frame)
    assert frame_size(frame[:1]) is None


@given(st.lists(bodies, max_size=5))
def test_what_is_written_is_what_a_server_reads(texts: list[bytes]) -> None:
    """One masked message for each text, in order."""
    server = ServerProtocol(state=OPEN, max_size=None)
    server.receive_data(masked_texts(texts))
    read = [event for event in server.events_received() if isinstance(event, Frame)]
    assert [(frame.opcode, bytes(frame.data), frame.fin) for frame in read] == [
        (Opcode.TEXT, text, True) for text in texts
    ]
    assert server.state is OPEN
