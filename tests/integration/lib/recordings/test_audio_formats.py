"""What ffmpeg reads of a recording that another party wrote, and what it must not reach."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest

from lib import limits
from lib.limits import Limits
from lib.recordings import audio
from lib.recordings import audio as ffmpeg
from lib.recordings.audio import Accepted, AudioError
from tests.integration.support.vendors_scene import tone, wav
from tests.plugins.scene import Later

ONLY_MP3 = Accepted(frozenset(["mp3"]))
PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{path}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {path}\n",
    "concat by url": "ffconcat version 1.0\nfile 'file:{path}'\n",
    "dash": (
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        ' mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-main:2011">'
        '<Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1">'
        "<BaseURL>{path}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ),
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A recording of another party on the same disk."""
    made(path := tmp_path / "other.ts", "-f", "mpegts", "-c:a", "mp2")
    return path


def made(file: Path, *form: str) -> None:
    """Write two seconds of a tone in a form."""
    source = ("-f", "lavfi", "-i", "sine=duration=2")
    command = [Later("imageio_ffmpeg").get_ffmpeg_exe(), "-v", "error", *source, *form, str(file)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("ending", ["wav", "m3u8"])
def test_a_playlist_as_a_recording_reads_nothing_else(kind: str, ending: str, other: Path) -> None:
    """Under any file name, since it is not a recording."""
    content = PLAYLISTS[kind].format(path=other).encode()
    with pytest.raises(AudioError):
        audio.chunks((f"call.{ending}", content), ONLY_MP3, stated_duration=2.0)


@pytest.mark.parametrize(
    "form",
    [
        ("wav",),
        ("flac",),
        ("ogg",),
        ("webm",),
        ("matroska",),
        ("mp4",),
        ("ipod",),
        ("adts",),
        ("aiff",),
        ("au",),
        ("asf",),
        ("w64",),
        ("caf",),
        ("mpegts",),
    ],
    ids=lambda form: form[0],
)
def test_recordings_of_every_usual_format_are_read(form: tuple[str, ...], tmp_path: Path) -> None:
    """Also those whose index is at the end, for which ffmpeg goes back and forth."""
    made(file := tmp_path / "call", "-f", *form)
    [(name, content)] = audio.chunks(("call.bin", file.read_bytes()), ONLY_MP3)
    assert name == "call.mp3"
    assert len(content) > 16_000


ONLY_WAV_AND_MP3 = Accepted(frozenset(["wav", "mp3"]))


def uploaded(content: bytes, **told: str) -> audio.Part:
    """The one part that a vendor is sent."""
    body = base64.urlsafe_b64encode(content).decode()
    [part] = audio.uploads({"body": body, "encoding": "base64url", **told}, ONLY_WAV_AND_MP3)
    return part


def seconds(part: audio.Part, folder: Path) -> float | None:
    """How long a part is."""
    (file := folder / "part.mp3").write_bytes(part[1])
    return audio.Source(file).duration()


@pytest.mark.parametrize("form", ["caf", "w64", "mpegts", "flv", "avi"])
@pytest.mark.parametrize("media_type", ["application/octet-stream", "audio/wav", "audio/x-odd"])
def test_what_is_no_wav_is_not_sent_as_one(form: str, media_type: str, tmp_path: Path) -> None:
    """Neither a kind that nothing tells, nor one that only says that it is a WAV."""
    made(file := tmp_path / "call", "-f", form, "-ar", "44100")
    name, content = uploaded(file.read_bytes(), mediatype=media_type, filename="call")
    assert (name, content[:3]) == ("call.mp3", b"ID3")


def test_what_ffmpeg_cannot_read_is_left_to_the_vendor() -> None:
    """As it is: the vendor says what is wrong with it, or knows better."""
    assert uploaded(b"no sound", mediatype="text/plain") == ("recording.wav", b"no sound")


@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        (("mulaw", "-ar", "8000"), "audio/basic"),
        (("mulaw", "-ar", "16000"), "audio/PCMU; rate=16000"),
        (("alaw", "-ar", "8000", "-ac", "2"), "audio/PCMA;rate=8000;channels=2"),
        (("s16be", "-ar", "16000"), "audio/L16;rate=16000;channels=1"),
        (("g722", "-ar", "16000"), "audio/G722"),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
def test_what_has_no_header_is_read_as_its_media_type_says(
    form: tuple[str, ...], media_type: str, tmp_path: Path
) -> None:
    """With the rate and the channels that stand there: else it would be slow or fast speech."""
    made(file := tmp_path / "call", "-f", *form)
    part = uploaded(file.read_bytes(), mediatype=media_type)
    assert part[0] == "recording.mp3"
    assert seconds(part, tmp_path) == pytest.approx(2.0, abs=0.2)


def test_ffmpeg_has_so_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording whose header asks for more than that cannot be read."""
    monkeypatch.setattr(limits, "_limits", Limits(ffmpeg_memory=8 * limits.MIB))
    with pytest.raises(AudioError):
        audio.chunks(("call.wav", wav(tone(2))), ONLY_MP3, stated_duration=2.0)


def test_ffmpeg_has_so_much_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, and that is told."""
    monkeypatch.setattr(limits, "_limits", Limits(ffmpeg_seconds=0.0))
    with pytest.raises(AudioError, match="FFMPEG_SECONDS"):
        audio.chunks(("call.wav", wav(tone(2))), ONLY_MP3, stated_duration=2.0)


def test_no_format_that_names_other_files_is_known() -> None:
    """Nor a device, nor a picture."""
    lists = {"hls", "concat", "dash", "sdp", "rtsp", "rtp", "imf", "image2", "lavfi", "tty", "sap"}
    assert not lists & set(ffmpeg.FORMATS.split(","))


def test_a_wav_that_tells_its_length_needs_no_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is too long for one request."""
    monkeypatch.setattr(audio, "get_ffmpeg_exe", Mock(side_effect=AssertionError))
    whole = ("call.wav", wav(tone(2)))
    assert audio.chunks(whole, Accepted(frozenset(["wav"]), most_seconds=3)) == [whole]
    with pytest.raises(AssertionError):
        audio.chunks(whole, Accepted(frozenset(["wav"]), most_seconds=1))
