"""What ffmpeg reads of a recording that another party wrote, and what it must not reach."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lib import audio, ffmpeg, limits
from lib.audio import Accepted, AudioError
from lib.limits import Limits
from tests.guests.scene import Later
from tests.integration.vendors_scene import tone, wav

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
    """By whatever name: it is no recording."""
    content = PLAYLISTS[kind].format(path=other).encode()
    with pytest.raises(AudioError):
        audio.chunks((f"call.{ending}", content), ONLY_MP3, told=2.0)


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


def test_ffmpeg_has_so_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording whose header asks for more than that cannot be read."""
    monkeypatch.setattr(limits, "_limits", Limits(ffmpeg_memory=8 * limits.MIB))
    with pytest.raises(AudioError):
        audio.chunks(("call.wav", wav(tone(2))), ONLY_MP3, told=2.0)


def test_ffmpeg_has_so_much_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, and that is told."""
    monkeypatch.setattr(limits, "_limits", Limits(ffmpeg_seconds=0.0))
    with pytest.raises(AudioError, match="FFMPEG_SECONDS"):
        audio.chunks(("call.wav", wav(tone(2))), ONLY_MP3, told=2.0)


def test_no_format_that_names_other_files_is_known() -> None:
    """Nor a device, nor a picture."""
    lists = {"hls", "concat", "dash", "sdp", "rtsp", "rtp", "imf", "image2", "lavfi", "tty", "sap"}
    assert not lists & set(ffmpeg.FORMATS.split(","))
