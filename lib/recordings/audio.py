"""Measures, converts and cuts recordings with the ffmpeg from the wheel `imageio-ffmpeg`.

Recordings come from other parties. ffmpeg detects a file's format itself, and some formats are
playlists of other files and URLs, which ffmpeg would open: such a "recording" could read other
files of the host. Therefore ffmpeg gets the recording as an open file descriptor (`fd:`), may read
through no other protocol, and accepts only formats that contain the audio themselves. Its time, its
memory and the size of its output are limited.
"""

import asyncio
import itertools
import re
import resource
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

from imageio_ffmpeg import get_ffmpeg_exe

from lib import limits
from lib.recordings.kinds import is_consistent, name_for, raw_format
from lib.recordings.media import is_at_hand, media
from lib.recordings.wav import is_wav, wav_seconds, with_actual_length
from lib.vcon.dialogs import duration_of

FORMATS = (
    "aac,ac3,aiff,alaw,amr,amrnb,amrwb,ape,asf,au,avi,caf,dss,eac3,flac,flv,g722,g723_1,g729,gsm,"
    "ilbc,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mulaw,ogg,qcp,shn,sln,tta,"
    "voc,w64,wav,wv,xwma"
)
"""The accepted formats. None refers to other files (mov only with an option that is not used)."""
MAX_LOG_BYTES = 16 * 1024 * 1024
"""The bytes of ffmpeg's log that are read."""
MAX_OUTPUT_BYTES = 2 * 1024 * 1024 * 1024
"""The size limit of a file that ffmpeg writes."""


class FfmpegError(RuntimeError):
    """ffmpeg was killed at its time limit."""


def ffmpeg_log(file: Path, input_options: Iterable[str], output_options: Iterable[str]) -> str:
    """Run ffmpeg on a file and return its log; blocks.

    Raises:
        FfmpegError: if it does not end within FFMPEG_SECONDS.
    """
    command = [
        get_ffmpeg_exe(),
        "-hide_banner",
        "-nostdin",
        *_input(list(input_options)),
        *output_options,
    ]
    with file.open("rb") as content, TemporaryFile() as log:
        _run(command, content, log)
        log.seek(0)
        return log.read(MAX_LOG_BYTES).decode(errors="replace")


def _input(options: list[str]) -> list[str]:
    formats = [] if "-f" in options else ["-format_whitelist", FORMATS]
    return [*options, *formats, "-protocol_whitelist", "fd", "-i", "fd:"]


def _run(command: list[str], content: IO[bytes], log: IO[bytes]) -> None:
    process = subprocess.Popen(  # noqa: S603 -- no shell, and no file name from a vCon
        command, stdin=content, stdout=subprocess.DEVNULL, stderr=log
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
    """Limit memory and file size of the child; a `preexec_fn` would be unsafe with threads."""
    if hasattr(resource, "prlimit"):  # Linux
        for kind, limit in (
            (resource.RLIMIT_AS, limits.current().ffmpeg_memory),
            (resource.RLIMIT_FSIZE, MAX_OUTPUT_BYTES),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.prlimit(process, kind, (limit, limit))


MAX_UPLOAD_BYTES = "+ the bytes of a recording in one request; a larger one is encoded or cut"
"""The description of an option, shared by several links."""

_CLOCK = r"(\d+):(\d\d):(\d\d(?:\.\d+)?)"
_DURATION = re.compile(f"Duration: {_CLOCK}")
_DECODED = re.compile(f"time={_CLOCK}")
_SILENCE = re.compile(r"silence_(start|end): (-?\d+(?:\.\d+)?)")

_PAUSE = (-40.0, 0.5)
"""What counts as a silence to cut in: dBFS and seconds."""

type Span = tuple[float, float]
type Part = tuple[str, bytes]
"""A file name and its content."""

MEBIBYTE = 1024 * 1024
ENVELOPE = 64 * 1024
"""Bytes reserved for the other parts of the request; more than any vendor's form needs."""
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
    """ffmpeg cannot read or convert a recording."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A vendor's limits for one request: file name endings, bytes, and seconds (None: no limit)."""

    endings: frozenset[str]
    most_bytes: int = 25 * MEBIBYTE
    most_seconds: float | None = None

    def takes(self, part: Part) -> bool:
        """Whether the vendor accepts a part's ending and size; the duration is not checked."""
        name, content = part
        return Path(name).suffix[1:].lower() in self.endings and len(content) <= self.most_bytes

    @property
    def longest(self) -> float:
        """The seconds of a part encoded with `BIT_RATE` that fit both limits."""
        by_size = max(self.most_bytes - ENVELOPE, MEBIBYTE // 16) / BYTES_PER_SECOND
        return by_size if self.most_seconds is None else min(by_size, self.most_seconds)


def uploads(
    dialog: dict[str, Any], accepted: Accepted, silence: tuple[float, float] | None = None
) -> list[Part]:
    """The recording of a dialog as parts to send to a vendor, each with a file name; blocks.

    A recording whose content contradicts its name, or whose kind is unknown, is encoded as MP3; if
    ffmpeg cannot read it, it is sent unchanged.

    Raises:
        MediaError, lib.fetching.FetchError: if the recording is missing or cannot be fetched.
        AudioError: if the vendor does not accept it unchanged and ffmpeg cannot read it.
    """
    content = media(dialog)
    name = name_for(dialog, content, accepted.endings)
    if not is_consistent(content, name):
        unnamed = (f"{Path(name).stem}.unknown", content)
        with suppress(AudioError):
            return chunks(unnamed, accepted, silence=silence)
    return chunks(
        (name, content),
        accepted,
        silence=silence,
        stated_duration=duration_of(dialog),
        media_type=dialog.get("mediatype"),
    )


async def uploaded(
    dialog: dict[str, Any], accepted: Accepted, silence: tuple[float, float] | None = None
) -> list[Part]:
    """`uploads` in a thread, unless the recording is small, in the vCon, and needs no ffmpeg."""
    if is_at_hand(dialog):
        content = media(dialog)
        whole = name_for(dialog, content, accepted.endings), content
        if is_consistent(content, whole[0]) and _goes_unchanged(whole, accepted):
            return [whole]
    return await asyncio.to_thread(uploads, dialog, accepted, silence)


def samples(dialog: dict[str, Any], most: float) -> Iterator[tuple[float, bytes]]:
    """The recording of a dialog as parts of `Source.samples`, each with its start in seconds.

    A part is not longer than about `most` seconds: cuts are moved into a silence nearby. Blocks;
    one part at a time is in memory.

    Raises:
        MediaError, lib.fetching.FetchError: if the recording is missing or cannot be fetched.
        AudioError: if ffmpeg cannot read it.
    """
    content, media_type = media(dialog), dialog.get("mediatype")
    name = name_for(dialog, content, frozenset())
    with TemporaryDirectory() as folder:
        source = _source(Path(folder), name, content, raw_format(name, media_type))
        del content
        duration = source.duration()
        if duration is None:
            raise AudioError("ffmpeg cannot read the recording")
        points = split_points(duration, source.silences(*_PAUSE), most) if duration > most else []
        for start, end in itertools.pairwise([0.0, *points, None]):
            assert start is not None
            yield start, source.samples(start, end)


def chunks(
    whole: Part,
    accepted: Accepted,
    *,
    silence: tuple[float, float] | None = None,
    stated_duration: float | None = None,
    media_type: object = None,
) -> list[Part]:
    """A recording in parts that a vendor accepts, each with a file name; blocks.

    It is returned unchanged if the vendor accepts its kind and size, and its duration is within the
    limit or unknown. Otherwise it is encoded as MP3, and cut if it is still too large or too long.

    `silence` is a threshold in dBFS and a duration in seconds: cuts are moved into such a silence
    if one is near. `stated_duration` counts if ffmpeg cannot measure the recording. `media_type`
    has the sample rate and the channels of a recording without a header.

    Raises:
        AudioError: if the vendor does not accept it unchanged and ffmpeg cannot read it.
    """
    name, content = whole
    fits, most = accepted.takes(whole), accepted.most_seconds
    if _goes_unchanged(whole, accepted):
        return [whole]
    with TemporaryDirectory() as folder:
        source = _source(Path(folder), name, content, raw_format(name, media_type))
        duration = source.duration() or stated_duration
        if fits and (duration is None or (most is not None and duration <= most)):
            return [whole]
        if duration is None:
            raise AudioError("the vendor does not accept the recording, and ffmpeg cannot read it")
        return _encoded(source, Path(name).stem, duration, accepted.longest, silence)


def _goes_unchanged(whole: Part, accepted: Accepted) -> bool:
    """Whether it fits for certain; by the header of a WAV: ffmpeg takes 10 ms for a length."""
    most = accepted.most_seconds
    seconds = 0.0 if most is None else wav_seconds(whole[1])
    within = most is None or (seconds is not None and seconds <= most)
    return within and accepted.takes(whole)


def _encoded(
    source: "Source", stem: str, duration: float, most: float, silence: tuple[float, float] | None
) -> list[Part]:
    if duration <= most:
        return [(f"{stem}.mp3", source.encoded(0, None))]
    silences = source.silences(*silence) if silence else []
    starts = [0.0, *split_points(duration, silences, most)]
    ends = [*starts[1:], None]  # the last part is not cut, since the duration may be inexact
    return [
        (f"{stem}_chunk_{number:03d}.mp3", source.encoded(start, end))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def split_points(duration: float, silences: Iterable[Span], most: float) -> list[float]:
    """The seconds at which to cut: each multiple of `most`, moved to the middle of a near silence.

    A silence is near if it is at most a quarter of `most` away.
    """
    middles = [(start + end) / 2 for start, end in silences]
    points = [
        _nearest(number * most, middles, most / 4) for number in range(1, int(duration / most) + 1)
    ]
    return [point for point in points if 0 < point < duration]


def _nearest(target: float, points: Iterable[float], reach: float) -> float:
    near = [(abs(point - target), point) for point in points if abs(point - target) <= reach]
    return min(near)[1] if near else target


def _source(folder: Path, name: str, content: bytes, input_options: tuple[str, ...]) -> "Source":
    file = folder / f"whole{Path(name).suffix}"
    is_unknown = is_wav(content) and wav_seconds(content) is None
    file.write_bytes(with_actual_length(content) if is_unknown else content)
    return Source(file, input_options)


@dataclass(frozen=True, slots=True)
class Source:
    """A recording in a file, and ffmpeg's options for reading it."""

    file: Path
    input_options: tuple[str, ...] = ()

    def duration(self) -> float | None:
        """Seconds from the file's header, or else from decoding the file; None if both fail."""
        if (seconds := _last_time(_DURATION, self._log())) is not None:
            return seconds
        # A streamed file has no duration: it was unknown when the header was written.
        return _last_time(_DECODED, self._log("-vn", "-f", "null", "-"))

    def silences(self, threshold: float, seconds: float) -> list[Span]:
        """The spans quieter than `threshold` dBFS for at least `seconds`."""
        detect = f"silencedetect=noise={threshold}dB:d={seconds}"
        found: list[Span] = []
        start = None
        for kind, moment in _SILENCE.findall(self._log("-af", detect, "-f", "null", "-")):
            if kind == "start":
                start = float(moment)
            elif start is not None:
                found.append((start, float(moment)))
        return found

    def encoded(self, start: float, end: float | None) -> bytes:
        """The span as mono MP3 with 16 kHz, sufficient for speech; `end` None: to the end."""
        return self._span(start, end, "mp3", "-b:a", BIT_RATE)

    def samples(self, start: float, end: float | None) -> bytes:
        """The span as mono 16-bit samples in little-endian order, 16,000 a second."""
        return self._span(start, end, "raw", "-f", "s16le")

    def _span(self, start: float, end: float | None, ending: str, *encoding: str) -> bytes:
        part = self.file.with_name(f"part.{ending}")
        until = () if end is None else ("-t", f"{end - start:.3f}")
        output = ("-vn", "-ac", "1", "-ar", "16000", *encoding, "-y", str(part))
        self._log(*until, *output, start=start)
        content = part.read_bytes() if part.exists() else b""
        part.unlink(missing_ok=True)
        if not content:
            raise AudioError("the recording cannot be converted")
        return content

    def _log(self, *output_options: str, start: float = 0) -> str:
        """Ffmpeg's log. Raises AudioError at the time limit."""
        seek = ("-ss", f"{start:.3f}") if start else ()
        try:
            return ffmpeg_log(self.file, (*seek, *self.input_options), output_options)
        except FfmpegError as error:
            raise AudioError(str(error)) from None


def _last_time(pattern: re.Pattern[str], log: str) -> float | None:
    if not (found := pattern.findall(log)):
        return None
    hours, minutes, seconds = map(float, found[-1])
    return hours * 3600 + minutes * 60 + seconds
