"""Measuring and cutting recordings, with the ffmpeg that comes in a wheel."""

import re
import subprocess
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from imageio_ffmpeg import get_ffmpeg_exe

SECONDS = 600
"""The most that one look at a recording may take."""

_CLOCK = r"(\d+):(\d\d):(\d\d(?:\.\d+)?)"
_DURATION = re.compile(f"Duration: {_CLOCK}")
_DECODED = re.compile(f"time={_CLOCK}")
_SILENCE = re.compile(r"silence_(start|end): (-?\d+(?:\.\d+)?)")

type Span = tuple[float, float]


class AudioError(RuntimeError):
    """A recording cannot be read as one."""


def chunks(
    content: bytes,
    name: str,
    most: float,
    *,
    silence: tuple[float, float] | None,
    told: float | None = None,
) -> list[tuple[str, bytes]]:
    """A recording in parts of about `most` seconds, each with a file name; blocks.

    One that is not longer is left as it is, and so is one that nobody knows the length of: `told`
    is what others say of it, for one that ffmpeg cannot measure. `silence` is how quiet it has to
    be, in dBFS, for how many seconds, to be cut there rather than right at a mark.

    Raises:
        AudioError: when it is longer and ffmpeg cannot read it.
    """
    with TemporaryDirectory() as folder:
        source = Path(folder) / f"whole{Path(name).suffix}"
        source.write_bytes(content)
        duration = _duration(source) or told
        if duration is None or duration <= most:
            return [(name, content)]
        silences = _silences(source, *silence) if silence else []
        ends = [0.0, *split_points(duration, silences, most), duration]
        stem = Path(name).stem
        return [
            (f"{stem}_chunk_{number:03d}.mp3", _cut(source, start, end))
            for number, (start, end) in enumerate(pairwise(ends))
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


def _silences(source: Path, threshold: float, seconds: float) -> list[Span]:
    asked = f"silencedetect=noise={threshold}dB:d={seconds}"
    said = _said("-i", str(source), "-af", asked, "-f", "null", "-")
    found: list[Span] = []
    start = None
    for kind, moment in _SILENCE.findall(said):
        if kind == "start":
            start = float(moment)
        elif start is not None:
            found.append((start, float(moment)))
    return found


def _duration(source: Path) -> float | None:
    """The length as the file says, or else as it turns out when all of it is decoded."""
    if (said := _last(_DURATION, _said("-i", str(source)))) is not None:
        return said
    # What was streamed says nothing: nobody knew at its beginning.
    return _last(_DECODED, _said("-i", str(source), "-vn", "-f", "null", "-"))


def _last(clock: re.Pattern[str], said: str) -> float | None:
    if not (found := clock.findall(said)):
        return None
    hours, minutes, seconds = map(float, found[-1])
    return hours * 3600 + minutes * 60 + seconds


def _cut(source: Path, start: float, end: float) -> bytes:
    """A part as mono MP3 with 16 kHz, which is all that speech needs."""
    part = source.with_name("part.mp3")
    where = ("-ss", f"{start:.3f}", "-to", f"{end:.3f}", "-i", str(source))
    form = ("-vn", "-ac", "1", "-ar", "16000", "-b:a", "128k", "-y", str(part))
    _said(*where, *form)
    if not part.exists():
        raise AudioError("the recording cannot be cut")
    content = part.read_bytes()
    part.unlink()
    return content


def _said(*arguments: str) -> str:
    """What ffmpeg writes about its work."""
    command = [get_ffmpeg_exe(), "-hide_banner", "-nostdin", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)  # noqa: S603 -- no shell, and names of our own
    return done.stderr.decode(errors="replace")
