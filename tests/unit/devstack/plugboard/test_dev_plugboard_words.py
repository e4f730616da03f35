"""The development Plugboard's serializers, form decoding, line limits and frames, as values."""

import json
from typing import Any

import pytest
from websockets.protocol import CLIENT, Protocol

from devstack.plugboard.board.serializers import (
    ArraySerializer,
    MalformedError,
    Message,
    ObjectSerializer,
    serializer_for,
)
from devstack.plugboard.connections.framing import Framing, Received, text_frame, whole_text_frames
from devstack.plugboard.connections.http_requests import (
    HEADER_LINE_TOO_LONG,
    REQUEST_LINE_TOO_LONG,
    form,
    oversized_line,
)
from devstack.plugboard.settings import PlugboardSettings, Variant

V1 = ObjectSerializer()
V2 = ArraySerializer()


def client_bytes(*messages: bytes, fin: bool = True) -> bytes:
    """Masked text frames as a client sends them."""
    client = Protocol(CLIENT)
    for message in messages:
        client.send_text(message, fin)
    return b"".join(client.data_to_send())


@pytest.mark.parametrize(
    ("vsn", "kind"),
    [
        ("1.0.0", ObjectSerializer),
        ("1.0.7", ObjectSerializer),
        ("2.0.0", ArraySerializer),
        ("1.9.9", None),
        ("3.0.0", None),
        ("2", None),
        ("abc", None),
        ("", None),
    ],
)
def test_only_the_two_versions_have_a_serializer(vsn: str, kind: type | None) -> None:
    """A version that is neither ~> 1.0.0 nor ~> 2.0.0 has no serializer."""
    found = serializer_for(vsn)
    assert found is None if kind is None else isinstance(found, kind)


def test_v1_reads_an_object_and_ignores_what_it_does_not_know() -> None:
    """A V1 message needs four keys; join_ref is optional, others are ignored."""
    text = b'{"topic":"service","event":"e","payload":[1],"ref":null,"more":1}'
    assert V1.decode(text, text=True) == Message(None, None, "service", "e", [1])
    text = b'{"topic":"t","event":"e","payload":{},"ref":7,"join_ref":"3"}'
    assert V1.decode(text, text=False) == Message("3", 7, "t", "e", {})


def test_v1_writes_exactly_four_keys() -> None:
    """A V1 frame holds topic, event, payload and ref, and never a join_ref."""
    frame = json.loads(V1.encode("3", "r", "service", "phx_reply", b'{"status":"ok"}'))
    assert frame == {
        "topic": "service",
        "event": "phx_reply",
        "payload": {"status": "ok"},
        "ref": "r",
    }


def test_v2_is_an_array_of_five_both_ways() -> None:
    """A V2 frame is join_ref, ref, topic, event, payload."""
    assert V2.decode(b'["3","4","service","e",{}]', text=True) == Message(
        "3", "4", "service", "e", {}
    )
    assert V2.encode("3", None, "service", "request", b"{}") == b'["3",null,"service","request",{}]'


@pytest.mark.parametrize(
    ("serializer", "data", "text"),
    [
        (V1, b"{", True),
        (V1, b"", True),
        (V1, b"[]", True),
        (V1, b"3", True),
        (V1, b'"topic"', True),
        (V1, b"\x01\x02", False),
        *(
            (V1, json.dumps(frame).encode(), True)
            for frame in (
                {"event": "e", "payload": {}, "ref": None},
                {"topic": "t", "payload": {}, "ref": None},
                {"topic": "t", "event": "e", "ref": None},
                {"topic": "t", "event": "e", "payload": {}},
            )
        ),
        (V2, b'{"topic":"t","event":"e","payload":{},"ref":null}', True),
        (V2, b'[null,"1","phoenix","heartbeat"]', True),
        (V2, b'[null,"1","phoenix","heartbeat",{}]', False),
    ],
)
def test_what_is_no_message_is_malformed(serializer: Any, data: bytes, text: bool) -> None:
    """Broken JSON, the other version's shape and a missing key are malformed."""
    with pytest.raises(MalformedError):
        serializer.decode(data, text=text)


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a=1&a=2", {"a": "2"}),
        ("f[a]=1&f[b][c]=x%20y", {"f": {"a": "1", "b": {"c": "x y"}}}),
        ("f[]=1&f[]=2", {"f": ["1", "2"]}),
    ],
)
def test_forms_nest_by_brackets(text: str, decoded: dict[str, Any]) -> None:
    """Urlencoded names with brackets become objects and lists; the last of a name wins."""
    assert form(text) == decoded


@pytest.mark.parametrize(("variant", "limit"), [(Variant.MAIN, 9_998), (Variant.BUGFIXES, 16_382)])
def test_the_request_line_limit_is_the_variants(variant: Variant, limit: int) -> None:
    """The longest line passes, one byte more is 414, whether its end has come or not."""
    settings = PlugboardSettings(variant=variant)
    assert oversized_line(b"x" * limit + b"\r\n\r\n", settings) is None
    assert oversized_line(b"x" * limit + b"\r", settings) is None
    assert oversized_line(b"x" * (limit + 1), settings) == REQUEST_LINE_TOO_LONG
    assert oversized_line(b"x" * (limit + 1) + b"\r\n\r\n", settings) == REQUEST_LINE_TOO_LONG


def test_a_header_line_has_a_limit_of_its_own() -> None:
    """A header line of the limit's length is 431; a body is no header line."""
    settings = PlugboardSettings(header_line_limit=20)
    assert oversized_line(b"GET /\r\n" + b"x" * 19 + b"\r\n\r\n" + b"y" * 99, settings) is None
    assert oversized_line(b"GET /\r\n" + b"x" * 20, settings) == HEADER_LINE_TOO_LONG


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 4_000, 65_535, 65_536, 70_000])
def test_a_text_frame_is_what_the_library_writes(size: int) -> None:
    """The board's own frame writer agrees with the library at every length form."""
    server = Framing()
    server.send_text(b"x" * size)
    assert text_frame(b"x" * size) == b"".join(server.data_to_send())


@pytest.mark.parametrize("size", [1, 125, 126, 127, 128, 4_000, 65_536])
def test_messages_are_the_same_however_the_bytes_arrive(size: int) -> None:
    """Whole, together, cut anywhere, or byte by byte: the same messages in the same order."""
    first, second = b"a" * size, b"b" * 3
    data = client_bytes(first, second)
    wanted = [Received(first, True), Received(second, True)]
    for cut in (0, 1, 3, 7, len(data) // 2, len(data) - 1):
        framing = Framing()
        assert framing.receive(data[:cut]) + framing.receive(data[cut:]) == wanted
    framing = Framing()
    steps = range(0, len(data), 1 if size < 200 else 997)
    pieces = [data[i : i + steps.step] for i in steps]
    assert [got for piece in pieces for got in framing.receive(piece)] == wanted


def test_the_short_cut_takes_only_whole_small_text_frames() -> None:
    """What follows a control frame, a fragment or an incomplete frame is left to the library."""
    whole = client_bytes(b"one", b"two")
    client = Protocol(CLIENT)
    client.send_ping(b"p")
    ping = b"".join(client.data_to_send())
    assert whole_text_frames(whole + ping + whole) == ([b"one", b"two"], len(whole))
    assert whole_text_frames(whole[:-1])[0] == [b"one"]
    assert whole_text_frames(client_bytes(b"part", fin=False)) == ([], 0)


def test_fragments_make_one_message_with_a_ping_between() -> None:
    """A message in fragments is whole at the end, and a ping inside it is answered."""
    client, framing = Protocol(CLIENT), Framing()
    client.send_text(b"one ", fin=False)
    client.send_ping(b"")
    client.send_continuation(b"two", fin=True)
    client.send_text(b"three")
    data = b"".join(client.data_to_send())
    assert framing.receive(data) == [Received(b"one two", True), Received(b"three", True)]
    assert framing.data_to_send() == [b"\x8a\x00"]


def test_bytes_inside_a_message_are_not_taken_for_a_frame() -> None:
    """A message that contains a whole frame stays one message, wherever its bytes are cut."""
    inner = b"\x81\x84\x00\x00\x00\x00evil"
    outer = b"\x81" + bytes([0x80 | (len(inner) + 2)]) + bytes(4) + b"ab" + inner
    for first in range(1, len(outer)):
        for second in range(len(outer) + 1, 2 * len(outer)):
            framing, data = Framing(), outer * 2
            pieces = (data[:first], data[first:second], data[second:])
            got = [message for piece in pieces for message in framing.receive(piece)]
            assert got == [Received(b"ab" + inner, True)] * 2


def test_a_message_inside_a_fragmented_one_is_a_protocol_error() -> None:
    """The short cut does not let a new message in before the last fragment."""
    framing = Framing()
    assert framing.receive(client_bytes(b"part", fin=False)) == []
    assert framing.receive(client_bytes(b"whole")) == []
    assert framing.data_to_send()[0].startswith(b"\x88")
    assert framing.close_sent is not None
    assert framing.close_sent.code == 1002
