"""Running ffmpeg on a recording that another party wrote.

ffmpeg finds out by itself what a file is, and some formats are lists of other files and URLs, which
it would open: a playlist as a recording reads what else is on the disk. So ffmpeg is given the
recording as its open input (`fd:`), may use no other protocol to read, and knows only formats that
hold the sound themselves. Its time, its memory and what it may write are limited.
"""

import resource
import subprocess
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from imageio_ffmpeg import get_ffmpeg_exe

from lib import limits

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
