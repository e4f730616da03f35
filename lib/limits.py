"""Resource limits of the built-in plugins per vCon, from the settings with the same names."""

from dataclasses import dataclass, fields

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """See docs/settings.md; sizes are in bytes, times in seconds."""

    fetch_requests: int = 1000
    fetch_bytes: int = 1024 * MIB
    fetch_seconds: float = 240.0
    fetch_host_seconds: float = 120.0
    ffmpeg_seconds: float = 300.0
    ffmpeg_memory: int = 1024 * MIB
    jq_seconds: float = 10.0
    jq_memory: int = 512 * MIB
    allow_private_urls: bool = False
    """Whether `lib.fetching` may connect to private addresses."""


_limits = Limits()


def configure(settings: object) -> None:
    """Take the limits from the settings of the process."""
    global _limits  # noqa: PLW0603 -- set once at start, before any plugin is loaded
    _limits = Limits(**{each.name: getattr(settings, each.name) for each in fields(Limits)})


def current() -> Limits:
    """The limits of this process."""
    return _limits
