"""Large requests are split, not parsed; what cannot be split is read elsewhere."""

from typing import Any

import msgspec
import orjson
import pytest

from core.errors import TooLargeError
from core.phoenix.frames import SERIALIZERS, Frame
from core.phoenix.large_frames import (
    LARGE,
    SPLITTERS,
    Unparsed,
    excess_of_text,
    fields_of,
    read_leniently,
)
from core.phoenix.lenient_json import Unreadable

BOTH = pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
TEXT = b"x" * LARGE


def message(vsn: str, payload: bytes, event: bytes = b'"request"', ref: bytes = b'"r"') -> bytes:
    """A message in either version; the payload as it is written."""
    if vsn == "2.0.0":
        return b'["j",%b,"service",%b,%b]' % (ref, event, payload)
    about = (event, payload, ref)
    return b'{"event":%b,"payload":%b,"topic":"service","ref":%b,"more":1}' % about


def payload(fields: bytes, action: bytes = b'"A"', more: bytes = b"") -> bytes:
    """A request's."""
    return b'{"action":%b,"fields":%b%b,"response_ref":"r-1"}' % (action, fields, more)


@BOTH
def test_large_fields_stay_text(vsn: str) -> None:
    """All else is what the usual reader makes of it."""
    fields = b'{"vcon": {"a": "%b"},  "n": [1, 2]}' % TEXT
    text = message(vsn, payload(fields, more=b',"\\u0061\\"b":[1e3,null]'))
    frame, whole = SPLITTERS[vsn](text), SERIALIZERS[vsn].decode(text)
    assert isinstance(frame, Frame)
    assert isinstance(whole, Frame)
    assert frame.payload["fields"] == Unparsed(fields)
    assert orjson.loads(fields) == whole.payload["fields"]
    assert {**frame.payload, "fields": 0} == {**whole.payload, "fields": 0}
    assert frame[:2] + frame[3:] == whole[:2] + whole[3:]


@BOTH
@pytest.mark.parametrize("fields", [b"{}", b"[]", b"null", b'"%b"' % TEXT, b'{"n": 1e400}'])
def test_small_messages_are_parsed_at_once(vsn: str, fields: bytes) -> None:
    """As the usual reader does, with what it says of a number that no store keeps."""
    text = message(vsn, payload(fields, more=b',"x":"%b"' % TEXT))
    assert SPLITTERS[vsn](text) == SERIALIZERS[vsn].decode(text)


@BOTH
@pytest.mark.parametrize(("action", "instead"), [(b"[0%b]", []), (b'{"a":[0%b]}', {})])
def test_an_action_or_ref_of_megabytes_is_not_read(
    vsn: str, action: bytes, instead: object
) -> None:
    """It is refused for its type."""
    frame = SPLITTERS[vsn](message(vsn, payload(b"{}", action=action % (b",0" * LARGE))))
    assert isinstance(frame, Frame)
    assert frame.payload == {"action": instead, "fields": {}, "response_ref": "r-1"}


@BOTH
def test_messages_of_the_plugboard_are_parsed_whole(vsn: str) -> None:
    """Its events have large parts in other places."""
    text = message(vsn, b'{"fields":{"a":"%b"},"n":{"n":1}}' % TEXT, event=b'"service_updated"')
    assert SPLITTERS[vsn](text) == SERIALIZERS[vsn].decode(text)


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        b"[" + TEXT,
        b"[" * LARGE + b"]" * LARGE,
        b"[" * LARGE,
        b"[[],1]",
        message("2.0.0", b"[]"),
        message("1.0.0", b"null"),
        message("2.0.0", b"{}", ref=b"7"),
        message("1.0.0", b"{}", event=b"7"),
        message("2.0.0", payload(b'{"a":"\\ud800"}')),
        message("1.0.0", payload(b'{"a":"\\ud800"}')),
        message("2.0.0", payload(b'{"a":%b}' % (b"[" * 5000 + b"]" * 5000))),
        message("2.0.0", payload(b'{"a":NaN}')),
    ],
)
def test_a_message_that_cannot_be_split_needs_the_lenient_parser(vsn: str, text: bytes) -> None:
    """Which says what it says of a small message."""
    assert SPLITTERS[vsn](text) is None
    assert read_leniently(text, vsn) == SERIALIZERS[vsn].decode(text)


def test_the_lenient_parser_returns_large_fields_as_text() -> None:
    """Not as an object, which would have to be made once more."""
    fields = {"vcon": {"a": "x" * LARGE}}
    read = read_leniently(message("2.0.0", payload(orjson.dumps(fields))), "2.0.0")
    assert isinstance(read, Frame)
    assert read.payload["fields"] == Unparsed(orjson.dumps(fields))


def fields(**members: Any) -> bytes:
    """As JSON."""
    return orjson.dumps(members)


def test_fields_are_parsed_but_for_large_objects_that_an_action_takes_as_text() -> None:
    """By name, and only objects: all else is looked at as ever."""
    vcon = {"a": "x" * LARGE}
    text = fields(vcon=vcon, other=vcon)
    assert fields_of(text, ()) == {"vcon": vcon, "other": vcon}
    assert fields_of(text, {"more"}) == {"vcon": vcon, "other": vcon}
    assert fields_of(fields(vcon=vcon, n=1), {"vcon"}) == {"vcon": orjson.dumps(vcon), "n": 1}
    assert fields_of(fields(vcon="x" * LARGE), {"vcon"}) == {"vcon": "x" * LARGE}
    assert fields_of(fields(vcon={}, n=["x" * LARGE]), {"vcon"}) == {"vcon": {}, "n": ["x" * LARGE]}
    assert fields_of(b"[%b]" % text, {"vcon"}) == []
    assert fields_of(fields(vcon=vcon, n=vcon), (), {"n"}) == {"vcon": None, "n": vcon}


def test_invalid_json_is_reported() -> None:
    """The splitter has not looked inside the texts."""
    text = b'{"n":"\xff","vcon":{"a":"%b"}}' % TEXT
    assert fields_of(text, {"vcon"}) == Unreadable("fields: not valid JSON")
    assert excess_of_text(text, 1) == ""


def test_the_last_of_two_members_counts() -> None:
    """As for every other reader."""
    text = b'{"vcon":{"a":"%b"},"vcon":{"b":"%b"}}' % (TEXT, TEXT)
    assert fields_of(text, {"vcon"}) == {"vcon": b'{"b":"%b"}' % TEXT}


def test_an_unreadable_value_is_reported_with_its_path() -> None:
    """In the words of the usual reader."""
    text = b'{"vcon":{"a":"%b"},"n":[%d]}' % (TEXT, 2**70)
    fields = fields_of(text, {"vcon"})
    assert fields == Unreadable(
        "fields.n[0]: not a finite number, or an integer of more than 64 bits"
    )


def test_other_fields_beside_a_large_vcon_are_bounded() -> None:
    """What is not given as text has to be parsed on the event loop."""
    text = fields(vcon={"a": "x" * LARGE}, ingress_lists=[[]] * LARGE)
    with pytest.raises(TooLargeError, match=r"besides vcon are 7680\d\d bytes; at most 256000"):
        fields_of(text, {"vcon"})


def test_the_splitter_refuses_invalid_messages() -> None:
    """It sees where values end; what is inside a text it leaves to the reader."""
    read = msgspec.json.decode(b'{"a":"\xff"}', type=dict[str, msgspec.Raw])
    assert bytes(read["a"]) == b'"\xff"'
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(b'{"a":[}]}', type=dict[str, msgspec.Raw])
