"""Measuring, converting and cutting recordings, with the ffmpeg that comes in a wheel."""

import re
import resource
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

from imageio_ffmpeg import get_ffmpeg_exe

from lib import limits
from lib.dialogs import duration_of, media
from lib.recordings.kinds import is_sure, name_for, raw_form
from lib.wav import is_wav, wav_seconds, with_its_length

# Running ffmpeg on a recording that another party wrote.
#
# ffmpeg finds out by itself what a file is, and some formats are lists of other files and URLs,
# which it would open: a playlist as a recording reads what else is on the disk. So ffmpeg is given
# the recording as its open input (`fd:`), may use no other protocol to read, and knows only
# formats that hold the sound themselves. Its time, its memory and what it may write are limited.

FORMATS = (
    "aac,ac3,aiff,alaw,amr,amrnb,amrwb,ape,asf,au,avi,caf,dss,eac3,flac,flv,g722,g723_1,g729,gsm,"
    "ilbc,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mulaw,ogg,qcp,shn,sln,tta,"
    "voc,w64,wav,wv,xwma"
)
"""What a recording may be. None of these names other files (mov only if asked to)."""
MOST_SAID = 16 * 1024 * 1024
"""Bytes of ffmpeg's own words that are read."""
MOST_WRITTEN = 2 * 1024 * 1024 * 1024
"""Bytes of a file that ffmpeg may write."""


class FfmpegError(RuntimeError):
    """ffmpeg was ended before it was done."""


def said(file: Path, reading: Iterable[str], arguments: Iterable[str]) -> str:
    """What ffmpeg writes about its work on a file; blocks.

    `reading` says how to read it; it stands before the input, `arguments` after it.

    Raises:
        FfmpegError: when it takes longer than it may.
    """
    command = [get_ffmpeg_exe(), "-hide_banner", "-nostdin", *_input(reading), *arguments]
    with file.open("rb") as content, TemporaryFile() as words:
        _run(command, content, words)
        words.seek(0)
        return words.read(MOST_SAID).decode(errors="replace")


def _input(reading: Iterable[str]) -> list[str]:
    given = list(reading)
    formats = [] if "-f" in given else ["-format_whitelist", FORMATS]
    return [*given, *formats, "-protocol_whitelist", "fd", "-i", "fd:"]


def _run(command: list[str], content: IO[bytes], words: IO[bytes]) -> None:
    process = subprocess.Popen(  # noqa: S603 -- no shell, and names of our own
        command, stdin=content, stdout=subprocess.DEVNULL, stderr=words
    )
    seconds = limits.current().ffmpeg_seconds
    try:
        _limit(process.pid)
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        msg = f"ffmpeg did not end within {seconds:g} s (FFMPEG_SECONDS)"
        raise FfmpegError(msg) from None
    finally:
        process.kill()
        process.wait()


def _limit(process: int) -> None:
    """Bound memory and files; not in the child before it starts, which is unsafe with threads."""
    if hasattr(resource, "prlimit"):  # Linux
        for kind, most in (
            (resource.RLIMIT_AS, limits.current().ffmpeg_memory),
            (resource.RLIMIT_FSIZE, MOST_WRITTEN),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.prlimit(process, kind, (most, most))


MAX_UPLOAD_BYTES = "+ the most bytes of a recording in one request; larger ones are encoded or cut"
"""What is to be said of an option."""

_CLOCK = r"(\d+):(\d\d):(\d\d(?:\.\d+)?)"
_DURATION = re.compile(f"Duration: {_CLOCK}")
_DECODED = re.compile(f"time={_CLOCK}")
_SILENCE = re.compile(r"silence_(start|end): (-?\d+(?:\.\d+)?)")

type Span = tuple[float, float]
type Part = tuple[str, bytes]
"""A file name and its content."""

MEBIBYTE = 1024 * 1024
ENVELOPE = 64 * 1024
"""Bytes of a request that are not the recording: more than any vendor's form needs."""
BIT_RATE = "128k"
BYTES_PER_SECOND = 128_000 / 8

OPENAI_ENDINGS = frozenset(
    ["flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm"]
)
GROQ_ENDINGS = frozenset(
    ["flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "ogg", "opus", "wav", "webm"]
)
"""As of November 2026, from the vendors' references of `audio/transcriptions`."""


class AudioError(RuntimeError):
    """A recording cannot be read as one."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a vendor takes in one request: endings of file names, bytes, and seconds (None: any)."""

    endings: frozenset[str]
    most_bytes: int = 25 * MEBIBYTE
    most_seconds: float | None = None

    def takes(self, part: Part) -> bool:
        """Whether a part has a kind and a size that the vendor takes, however long it is."""
        name, content = part
        return Path(name).suffix[1:].lower() in self.endings and len(content) <= self.most_bytes

    @property
    def longest(self) -> float:
        """Seconds that a part may have when it is encoded here."""
        by_size = max(self.most_bytes - ENVELOPE, MEBIBYTE // 16) / BYTES_PER_SECOND
        return by_size if self.most_seconds is None else min(by_size, self.most_seconds)


def uploads(
    dialog: dict[str, Any], accepted: Accepted, silence: tuple[float, float] | None = None
) -> list[Part]:
    """The recording of a dialog as the parts that a vendor is sent, each with a name; blocks.

    What is not of the kind that its media type or name says, or of a kind that nothing tells, is
    encoded anew; if ffmpeg cannot read it either, the vendor is sent it as it is.

    Raises:
        MediaError, lib.fetching.FetchError: when the recording cannot be had.
        AudioError: when the vendor does not take it as it is and ffmpeg cannot read it.
    """
    content = media(dialog)
    name = name_for(dialog, content, accepted.endings)
    told, media_type = duration_of(dialog), dialog.get("mediatype")
    if not is_sure(content, name):
        unnamed = (f"{Path(name).stem}.unknown", content)
        with suppress(AudioError):
            return chunks(unnamed, accepted, silence=silence)
    return chunks((name, content), accepted, silence=silence, told=told, media_type=media_type)


def chunks(
    whole: Part,
    accepted: Accepted,
    *,
    silence: tuple[float, float] | None = None,
    told: float | None = None,
    media_type: object = None,
) -> list[Part]:
    """A recording in parts that a vendor takes, each with a file name; blocks.

    `media_type` tells the rate and the channels of what has no header.

    It is left as it is where the vendor takes its kind and size and it is not too long, or its
    length is unknown: `told` is what the vCon says, for one that ffmpeg cannot measure. Otherwise
    it is encoded anew, and cut if that is not enough. `silence` is how quiet it has to be, in dBFS,
    for how many seconds, to be cut there rather than right at a mark.

    Raises:
        AudioError: when it cannot stay as it is and ffmpeg cannot read it.
    """
    name, content = whole
    fits, most = accepted.takes(whole), accepted.most_seconds
    if fits and most is None:
        return [whole]
    with TemporaryDirectory() as folder:
        source = _source(Path(folder), name, content, raw_form(name, media_type))
        duration = source.duration() or told
        if fits and (duration is None or (most is not None and duration <= most)):
            return [whole]
        if duration is None:
            raise AudioError(
                "the vendor does not take the recording as it is, and it cannot be read"
            )
        return _encoded(source, Path(name).stem, duration, accepted.longest, silence)


def _encoded(
    source: "Source", stem: str, duration: float, most: float, silence: tuple[float, float] | None
) -> list[Part]:
    if duration <= most:
        return [(f"{stem}.mp3", source.encoded(0, None))]
    silences = source.silences(*silence) if silence else []
    starts = [0.0, *split_points(duration, silences, most)]
    ends = [*starts[1:], None]  # the last part goes to the end, wherever that is
    return [
        (f"{stem}_chunk_{number:03d}.mp3", source.encoded(start, end))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def split_points(duration: float, silences: Iterable[Span], most: float) -> list[float]:
    """Where to cut: at each multiple of `most`, or in the middle of the silence nearest to it.

    A silence counts up to a quarter of `most` away.
    """
    middles = [(start + end) / 2 for start, end in silences]
    points = [
        _nearest(number * most, middles, most / 4) for number in range(1, int(duration / most) + 1)
    ]
    return [point for point in points if 0 < point < duration]


def _nearest(mark: float, points: Iterable[float], reach: float) -> float:
    near = [(abs(point - mark), point) for point in points if abs(point - mark) <= reach]
    return min(near)[1] if near else mark


def _source(folder: Path, name: str, content: bytes, reading: tuple[str, ...]) -> "Source":
    file = folder / f"whole{Path(name).suffix}"
    is_unknown = is_wav(content) and wav_seconds(content) is None
    file.write_bytes(with_its_length(content) if is_unknown else content)
    return Source(file, reading)


@dataclass(frozen=True, slots=True)
class Source:
    """A recording on the disk, and how ffmpeg is told to read it."""

    file: Path
    reading: tuple[str, ...] = ()

    def duration(self) -> float | None:
        """The length as the file says, or else as it turns out when all of it is decoded."""
        if (said := _last(_DURATION, self._said())) is not None:
            return said
        # What was streamed says nothing: its length was not known at its beginning.
        return _last(_DECODED, self._said("-vn", "-f", "null", "-"))

    def silences(self, threshold: float, seconds: float) -> list[Span]:
        """Where it is quieter than `threshold` dBFS for so many seconds."""
        asked = f"silencedetect=noise={threshold}dB:d={seconds}"
        found: list[Span] = []
        start = None
        for kind, moment in _SILENCE.findall(self._said("-af", asked, "-f", "null", "-")):
            if kind == "start":
                start = float(moment)
            elif start is not None:
                found.append((start, float(moment)))
        return found

    def encoded(self, start: float, end: float | None) -> bytes:
        """A part, or all up to the end, as mono MP3 with 16 kHz, which is all that speech needs."""
        part = self.file.with_name("part.mp3")
        until = () if end is None else ("-t", f"{end - start:.3f}")
        form = ("-vn", "-ac", "1", "-ar", "16000", "-b:a", BIT_RATE, "-y", str(part))
        self._said(*until, *form, start=start)
        content = part.read_bytes() if part.exists() else b""
        part.unlink(missing_ok=True)
        if not content:
            raise AudioError("the recording cannot be converted")
        return content

    def _said(self, *arguments: str, start: float = 0) -> str:
        """What ffmpeg writes about its work; raises AudioError when it takes too long."""
        place = ("-ss", f"{start:.3f}") if start else ()
        try:
            return said(self.file, (*place, *self.reading), arguments)
        except FfmpegError as error:
            raise AudioError(str(error)) from None


def _last(clock: re.Pattern[str], said: str) -> float | None:
    if not (found := clock.findall(said)):
        return None
    hours, minutes, seconds = map(float, found[-1])
    return hours * 3600 + minutes * 60 + seconds
