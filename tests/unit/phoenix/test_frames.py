"""Frames as text, in both versions, with literals as a real server sends them."""

import json

import orjson
import pytest

from core.phoenix.frames import (
    SERIALIZERS,
    Frame,
    Malformed,
    decode_v1,
    decode_v2,
    encode_v1,
    encode_v2,
)

REQUEST = {
    "action": "Foo",
    "fields": {"a": "1", "deep": {"x": [1, None, True, "é"]}, "n": 1.5},
    "response_ref": "7f047d16-b415-4f83-90c2-d2dbb9bcc2f4",
}

V1_MESSAGES = [
    (
        '{"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"hb-1","topic":"phoenix"}',
        Frame("phoenix", "phx_reply", {"response": {}, "status": "ok"}, "hb-1"),
    ),
    (
        '{"event":"num_consumers","payload":{"num_consumers":2},"ref":null,"topic":"service"}',
        Frame("service", "num_consumers", {"num_consumers": 2}),
    ),
    (
        '{"event":"request","payload":{"action":"Foo","fields":{"a":"1","deep":{"x":[1,null,true,'
        '"é"]},"n":1.5},"response_ref":"7f047d16-b415-4f83-90c2-d2dbb9bcc2f4"},"ref":null,'
        '"topic":"service"}',
        Frame("service", "request", REQUEST),
    ),
    (
        '{"event":"phx_error","payload":{},"ref":null,"topic":"service","more":1}',
        Frame("service", "phx_error", {}),
    ),
]

V2_MESSAGES = [
    (
        '[null,"1","phoenix","phx_reply",{"response":{},"status":"ok"}]',
        Frame("phoenix", "phx_reply", {"response": {}, "status": "ok"}, "1"),
    ),
    (
        '["3",null,"service","num_consumers",{"num_consumers":2}]',
        Frame("service", "num_consumers", {"num_consumers": 2}, None, "3"),
    ),
    ('["3","3","service","phx_error",{}]', Frame("service", "phx_error", {}, "3", "3")),
]

V1_NOT_MESSAGES = [
    ("", "not JSON"),
    ("{", "not JSON"),
    ("NaN", "not an object"),
    (b"\xff\xfe", "not JSON"),
    ("\ud800", "not JSON"),
    ("[" * 5000, "not JSON"),
    ("null", "not an object"),
    ('[null,"1","phoenix","phx_reply",{}]', "not an object"),
    ('{"event":"e","payload":{},"ref":null}', "no 'topic'"),
    ('{"topic":"t","payload":{},"ref":null}', "no 'event'"),
    ('{"topic":"t","event":"e","ref":null}', "no 'payload'"),
    ('{"topic":"t","event":"e","payload":{}}', "no 'ref'"),
    ('{"topic":null,"event":"e","payload":{},"ref":null}', "topic and event"),
    ('{"topic":"t","event":7,"payload":{},"ref":null}', "topic and event"),
    ('{"topic":"t","event":"e","payload":[],"ref":null}', "payload"),
    ('{"topic":"t","event":"e","payload":null,"ref":null}', "payload"),
    ('{"topic":"t","event":"e","payload":{},"ref":7}', "ref and join_ref"),
]

V2_NOT_MESSAGES = [
    ("", "not JSON"),
    ("7", "not an array"),
    ('{"topic":"t","event":"e","payload":{},"ref":null}', "not an array"),
    ('[null,null,"t","e"]', "not an array of five"),
    ('[null,null,"t","e",{},{}]', "not an array of five"),
    ('[null,null,null,"e",{}]', "topic and event"),
    ('[null,null,"t","e","text"]', "payload"),
    ('[null,{},"t","e",{}]', "ref and join_ref"),
    ('[3,null,"t","e",{}]', "ref and join_ref"),
]


@pytest.mark.parametrize(("text", "frame"), V1_MESSAGES)
def test_v1_messages_are_read(text: str, frame: Frame) -> None:
    """An object as the server writes it becomes the frame it stands for, as text or as bytes."""
    assert decode_v1(text) == frame
    assert decode_v1(text.encode()) == frame


@pytest.mark.parametrize(("text", "frame"), V2_MESSAGES)
def test_v2_messages_are_read(text: str, frame: Frame) -> None:
    """An array as the server writes it becomes the frame it stands for, as text or as bytes."""
    assert decode_v2(text) == frame
    assert decode_v2(text.encode()) == frame


@pytest.mark.parametrize(("text", "reason"), V1_NOT_MESSAGES)
def test_v1_says_what_is_wrong_with_other_texts(text: str | bytes, reason: str) -> None:
    """A text that is no V1 message comes back as a value that says why."""
    outcome = decode_v1(text)
    assert isinstance(outcome, Malformed)
    assert reason in outcome.reason


@pytest.mark.parametrize(("text", "reason"), V2_NOT_MESSAGES)
def test_v2_says_what_is_wrong_with_other_texts(text: str | bytes, reason: str) -> None:
    """A text that is no V2 message comes back as a value that says why."""
    outcome = decode_v2(text)
    assert isinstance(outcome, Malformed)
    assert reason in outcome.reason


def test_v1_always_writes_the_four_keys_a_server_requires() -> None:
    """Topic, event, payload and ref are written even when the ref is null; join_ref is not."""
    assert json.loads(encode_v1(Frame("service", "phx_join", {}))) == {
        "topic": "service",
        "event": "phx_join",
        "payload": {},
        "ref": None,
    }


def test_v1_writes_a_join_ref_when_there_is_one() -> None:
    """A join_ref travels as a fifth key, for a server that echoes it when the channel ends."""
    assert json.loads(encode_v1(Frame("service", "phx_leave", {}, "2", "1")))["join_ref"] == "1"


def test_v2_writes_the_array() -> None:
    """A V2 message is [join_ref, ref, topic, event, payload]."""
    text = encode_v2(Frame("service", "response", {"status": "success"}, "9819e233", "3"))
    assert text == b'["3","9819e233","service","response",{"status":"success"}]'


@pytest.mark.parametrize("vsn", SERIALIZERS)
def test_an_encoded_frame_decodes_to_itself(vsn: str) -> None:
    """Each version reads its own writing, non-ASCII included."""
    decode, encode = SERIALIZERS[vsn]
    frame = Frame("service", "request", REQUEST, "ref", "join")
    assert decode(encode(frame)) == (frame if vsn == "2.0.0" else frame._replace(join_ref=None))


@pytest.mark.parametrize("encode", [encode_v1, encode_v2])
def test_encoded_json_is_written_unchanged(encode: object) -> None:
    """A payload that is already JSON is not encoded a second time."""
    text = encode(Frame("service", "response", orjson.Fragment(b'{"a":1}')))
    assert b'{"a":1}' in text


@pytest.mark.parametrize("encode", [encode_v1, encode_v2])
def test_a_payload_that_is_not_json_is_refused(encode: object) -> None:
    """Only our own mistake raises: a payload that JSON cannot carry."""
    with pytest.raises(TypeError):
        encode(Frame("service", "response", {"a": object()}))
