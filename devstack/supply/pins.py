"""The pinned packages of the requirement files."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = Path("requirements") / "extras"
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_CONTINUED = re.compile(r"\\\n\s*")


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a requirement file: a version, and the SHA-256 of each of its files."""

    name: str
    version: str
    marker: str
    digests: tuple[str, ...]


def read_pins(file: Path) -> list[Pin]:
    """Reads a requirement file that uv wrote.

    Raises:
        ValueError: if a line is not an exact pin.
    """
    joined = _CONTINUED.sub(" ", file.read_text(encoding="utf-8"))
    lines = (line.strip() for line in joined.splitlines())
    return [_pin(line) for line in lines if line and not line.startswith("#")]


def _pin(line: str) -> Pin:
    words, *_ = line.partition("--hash")
    wanted = Requirement(words)
    pinned = [each.version for each in wanted.specifier if each.operator == "=="]
    if len(pinned) != 1 or len(wanted.specifier) != 1:
        raise ValueError(f"not an exact pin: {line[:200]}")
    marker = str(wanted.marker or "")
    return Pin(canonicalize_name(wanted.name), pinned[0], marker, tuple(_HASH.findall(line)))


def names(files: Iterable[Path]) -> set[str]:
    """The names of all packages in some requirement files."""
    return {pin.name for file in files for pin in read_pins(file)}


def excluded(checkout: Path) -> set[str]:
    """The names of the packages that no requirement file may contain."""
    text = (checkout / "requirements" / "excluded.in").read_text(encoding="utf-8")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {canonicalize_name(line) for line in lines if line}
