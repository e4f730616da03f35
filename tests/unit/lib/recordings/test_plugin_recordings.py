"""What the links that transcribe work out before and after they ask a vendor."""

import io
import struct
import wave
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.ai.answers import objects_in
from lib.ai.deepgram_channels import confidence_of, transcript_of
from lib.recordings.kinds import kind_of, name_for
from lib.recordings.media import MediaError, media
from lib.recordings.wav import wav_seconds
from lib.vcon.dialogs import duration_of

VENDOR = frozenset({"mp3", "mpga", "m4a", "mp4", "ogg", "wav", "webm"})
SECONDS = 2


def wav(rate: int = 8000) -> bytes:
    """Two seconds of silence."""
    out = io.BytesIO()
    with wave.open(out, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(rate)
        recording.writeframes(b"\0" * 2 * SECONDS * rate)
    return out.getvalue()


def with_sizes(riff: int | None, data: int | None) -> bytes:
    """The same with other lengths in its header."""
    content = bytearray(wav())
    if riff is not None:
        struct.pack_into("<I", content, 4, riff)
    if data is not None:
        struct.pack_into("<I", content, 40, data)
    return bytes(content)


def test_a_wav_header_that_fits_its_bytes_is_believed() -> None:
    """Also with other chunks behind the sound."""
    listing = b"LIST" + struct.pack("<I", 4) + b"INFO"
    assert wav_seconds(wav()) == SECONDS
    assert wav_seconds(wav() + listing) == SECONDS
    assert wav_seconds(with_sizes(0, None)) == SECONDS


@pytest.mark.parametrize("size", [0, 2, 100, 32_002, 10**6, 2**31, 2**32 - 37, 2**32 - 1])
def test_a_wav_header_that_does_not_fit_tells_nothing(size: int) -> None:
    """Of a recorder that streams, or of a file that was cut off: unknown is not short."""
    assert wav_seconds(with_sizes(None, size)) is None
    assert wav_seconds(with_sizes(size, size)) is None


@pytest.mark.parametrize("byte_rate", [0, 1, 2**32 - 1])
def test_a_wav_whose_numbers_contradict_each_other_tells_nothing(byte_rate: int) -> None:
    """Its bytes a second would make any length of it."""
    content = bytearray(wav())
    struct.pack_into("<I", content, 28, byte_rate)
    assert wav_seconds(bytes(content)) is None


@pytest.mark.parametrize("form", [3, 6, 7, 0xFFFE, 0x11, 0x31])
@pytest.mark.parametrize("byte_rate", [0, 4_000_000, 2**32 - 1])
def test_the_numbers_of_other_codecs_are_checked_too(form: int, byte_rate: int) -> None:
    """Float, A-law, mu-law, extensible; ADPCM and GSM need no more bytes than plain samples."""
    content = bytearray(wav())
    struct.pack_into("<H", content, 20, form)
    assert wav_seconds(bytes(content)) == SECONDS
    struct.pack_into("<I", content, 28, byte_rate)
    assert wav_seconds(bytes(content)) is None


def test_a_wav_faster_than_any_recorder_tells_nothing() -> None:
    """Though its numbers fit each other."""
    content = bytearray(wav())
    struct.pack_into("<II", content, 24, 4_000_000, 8_000_000)
    assert wav_seconds(bytes(content)) is None


@given(st.binary(max_size=200))
def test_what_is_no_wav_tells_nothing(content: bytes) -> None:
    """And is no error, however it goes on."""
    assert wav_seconds(content) is None
    seconds = wav_seconds(b"RIFF\0\0\0\0WAVE" + content)
    assert seconds is None or seconds > 0


@pytest.mark.parametrize(
    "told", [None, 0, True, -1, "0", float("nan"), float("inf"), "soon", [], 10**400]
)
def test_a_length_of_nothing_is_unknown(told: object) -> None:
    """Some writers say 0 where they do not know."""
    assert duration_of({"duration": told}) is None


@pytest.mark.parametrize(
    ("media_type", "ending"),
    [
        ("audio/webm;codecs=opus", "webm"),
        ("audio/ogg; codecs=opus", "ogg"),
        ("audio/opus", "ogg"),
        ("Audio/X-WAV", "wav"),
        ("audio/wave", "wav"),
        ("audio/vnd.wave;codec=1", "wav"),
        ("audio/mpeg", "mp3"),
        ("audio/mp4; codecs=mp4a.40.2", "m4a"),
        ("audio/aac", "aac"),
        ("audio/PCMU;rate=8000", "ul"),
        ("audio/basic", "ul"),
        ("audio/L16;rate=16000", "l16"),
        ("application/octet-stream", "wav"),
        (None, "wav"),
        (5, "wav"),
    ],
)
def test_a_name_is_made_from_the_media_type(media_type: object, ending: str) -> None:
    """Without its parameters, in any of its spellings; what nothing tells is taken for a WAV."""
    assert name_for({"mediatype": media_type}, b"?", VENDOR) == f"recording.{ending}"


@pytest.mark.parametrize(
    ("dialog", "name"),
    [
        ({"filename": "call.wav"}, "call.wav"),
        ({"filename": "call.MPGA"}, "call.MPGA"),
        ({"filename": "call.oga", "mediatype": "audio/ogg"}, "call.ogg"),
        ({"filename": "call.aac"}, "call.aac"),
        ({"filename": "call.2026-01-01"}, "call.2026-01-01.wav"),
        ({"filename": "call.wav", "mediatype": "audio/mpeg"}, "call.mp3"),
        ({"url": "https://x.example/a/beep.mp3?token=1"}, "beep.mp3"),
        ({"url": "https://x.example/get.php?id=1", "mediatype": "audio/mp4"}, "get.php.m4a"),
        ({"url": "https://[/beep.mp3", "body": "x"}, "recording.wav"),
        ({}, "recording.wav"),
    ],
)
def test_a_name_that_is_right_is_kept(dialog: dict[str, Any], name: str) -> None:
    """And otherwise gets the ending of its kind, as the vendor spells it."""
    assert name_for(dialog, b"?", VENDOR) == name


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (wav(), "wav"),
        (b"fLaC....", "flac"),
        (b"OggS....", "ogg"),
        (b"ID3\x04....", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"\0\0\0\x20ftypM4A ", "m4a"),
        (b"\0\0\0\x18ftyp3gp4", "3gp"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "webm"),
        (b"#!AMR\n", "amr"),
    ],
)
def test_the_content_comes_before_what_is_said_of_it(content: bytes, kind: str) -> None:
    """Names and media types are often wrong."""
    assert kind_of(content, "audio/x-m4b", "call.ogg") == kind
    assert kind_of(content, "video/mp4", "call") == kind


def channel(text: str, confidence: float, *starts: float, **more: Any) -> dict[str, Any]:
    """One channel of an answer of Deepgram's, each word with its time."""
    words = [
        {"word": word, "start": start, "end": start + 0.1}
        for word, start in zip(text.split(), starts, strict=False)
    ]
    blocks = [{"sentences": [{"text": text}], "start": starts[0]}] if starts else []
    paragraphs = {"paragraphs": {"transcript": text, "paragraphs": blocks}} if blocks else {}
    spoken = {"transcript": text, "confidence": confidence, "words": words, **paragraphs}
    return {"alternatives": [spoken], **more}


def test_one_channel_is_as_deepgram_gave_it() -> None:
    """With the language, and with all other results beside it."""
    given = channel("good day", 0.9, 1.0, 2.0, detected_language="nl")
    answer = transcript_of({"channels": [given], "utterances": [{"id": 1}]})
    assert answer == {
        **given["alternatives"][0],
        "detected_language": "nl",
        "utterances": [{"id": 1}],
    }


def test_all_channels_are_kept_in_the_order_of_time() -> None:
    """The words and paragraphs tell who speaks, and each channel's answer is there as it came."""
    agent = channel("hello there goodbye", 0.6, 0.0, 0.5, 3.0)
    caller = channel("my order", 0.8, 1.0, 1.5, detected_language="fr")
    answer = transcript_of({"channels": [agent, caller]})
    assert answer is not None
    assert answer["transcript"] == "hello there\nmy order\ngoodbye"
    assert [each["channel"] for each in answer["words"]] == [0, 0, 1, 1, 0]
    assert answer["words"][2] == {
        **caller["alternatives"][0]["words"][0],
        "speaker": 1,
        "channel": 1,
    }
    assert answer["paragraphs"]["transcript"] == (
        "\nSpeaker 0: hello there goodbye\n\nSpeaker 1: my order"
    )
    assert answer["channels"] == [agent, caller]
    assert (answer["confidence"], answer["detected_language"]) == (0.8, "fr")


def test_channels_without_times_follow_each_other() -> None:
    """Nothing is left out because one of them has no words of its own."""
    answer = transcript_of({"channels": [channel("a b", 0.9, 0.0, 1.0), channel("c", 0.7)]})
    assert answer is not None
    assert answer["transcript"] == "a b\nc"


@pytest.mark.parametrize("empty", [{"alternatives": []}, {}, None])
def test_a_channel_without_an_alternative_keeps_its_number(empty: dict[str, Any] | None) -> None:
    """Those behind it are not taken for another speaker, also where only one says anything."""
    caller, agent = channel("my order", 0.7, 1.2, 1.4), channel("hello", 0.8, 0.0)
    answer = transcript_of({"channels": [empty, caller, agent]})
    assert answer is not None
    assert [(each["word"], each["channel"]) for each in answer["words"]] == [
        ("hello", 2),
        ("my", 1),
        ("order", 1),
    ]
    assert answer["channels"] == [empty or {}, caller, agent]
    alone = transcript_of({"channels": [empty, caller]})
    assert alone is not None
    assert [each["channel"] for each in alone["words"]] == [1, 1]


def test_a_silent_channel_makes_no_answer_uncertain() -> None:
    """The surest channel decides; an answer without alternatives has none."""
    answer = transcript_of({"channels": [channel("", 0.0), channel("yes", 0.9, 1.0)]})
    assert answer is not None
    assert confidence_of(answer) == 0.9
    assert answer["transcript"] == "yes"
    assert transcript_of({"channels": [{"alternatives": []}]}) is None
    assert transcript_of({}) is None
    assert confidence_of({"transcript": "x"}) is None


@pytest.mark.parametrize(
    "answer",
    [
        '{"applies": true}',
        '```json\n{"applies": true}\n```',
        '```\n{"applies": true}```',
        'Here you are:\n\n{"applies": true}\n\nAnything else?',
        '\ufeff  {"applies" : true}',
        'I think {maybe} it does: {"applies": true}',
        '{"example": {"applies": false}} so it is {"applies": true}',
        '<think>{"applies": false} or</think>{"applies": true}',
    ],
)
def test_json_is_read_out_of_what_a_model_says(answer: str) -> None:
    """In a fence, with words around it, and the last one where there are several."""
    assert next(objects_in(answer)) == {"applies": True}


def test_a_line_break_in_a_text_is_read() -> None:
    """Models write it as it is, which JSON does not allow."""
    assert next(objects_in('{"why": "one\ntwo"}')) == {"why": "one\ntwo"}


@pytest.mark.parametrize("answer", ["", "yes", "[1, 2]", "{", "{{{{", '{"a": }', "{" * 100_000])
def test_an_answer_without_an_object(answer: str) -> None:
    """It has none, and that costs little."""
    assert list(objects_in(answer)) == []


def test_an_answer_of_objects_in_objects_is_not_read_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An object that is not closed is tried from each of its inner ones."""
    monkeypatch.setattr("lib.ai.answers.MOST_SCANNED", 10_000)
    inner = '{"a":[' + "1," * 100
    assert list(objects_in(f'{inner * 5} {{"found":1}}')) == [{"found": 1}]
    assert list(objects_in(f'{inner * 100} {{"found":1}}')) == []


@pytest.mark.parametrize("known", [5, True, {"sha256": "x"}, [None], "sha3-x", None, ""])
def test_a_hash_of_an_unknown_form_is_not_compared(known: object) -> None:
    """Producers write what they like there."""
    assert media({"body": "AAEC", "encoding": "base64url", "content_hash": known}) == b"\0\1\2"


@pytest.mark.parametrize("known", ["sha256-x", ["md5-x", "sha512-x"]])
def test_a_hash_that_differs_is_an_error(known: object) -> None:
    """The recording is not the one that the vCon was made with."""
    with pytest.raises(MediaError, match="does not match"):
        media({"body": "AAEC", "encoding": "base64url", "content_hash": known})
