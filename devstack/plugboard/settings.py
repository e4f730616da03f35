"""All settings of the development Plugboard; the defaults are those of the real one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Variant(StrEnum):
    """Which of the two published Plugboards to imitate; they differ in HTTP only."""

    MAIN = "main"
    BUGFIXES = "bugfixes"


type Answered = Callable[[str, int, float], None]
"""Takes an action's name, the HTTP status, and the seconds from the request to the answer."""

REQUEST_LINE_LIMITS = {Variant.MAIN: 9_998, Variant.BUGFIXES: 16_382}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugboardSettings:
    """Settings of one development Plugboard; times in seconds, sizes in bytes."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free port; a restart keeps it."""
    variant: Variant = Variant.MAIN
    idle_timeout: float = 60.0
    answer_timeout: float = 30.0
    request_line_limit: int | None = None
    """Longest request line without its CRLF; None takes the variant's own limit."""
    header_line_limit: int = 10_000
    body_limit: int = 8_000_000
    token_lifetime: timedelta = timedelta(days=90)
    origin_host: str = "localhost"
    """The only host a browser's Origin header may name."""
    drain_timeout: float = 15.0
    """How long a graceful stop lets callers hang that still wait for an answer."""
    close_timeout: float = 1.0
    """How long a closed socket may take to hang up before it is cut."""
    leaver_sees_count: bool = False
    """Whether a leaving consumer still gets its own two num_consumers frames."""
    losses: bool = True
    """Whether requests are lost as the real one loses them; `Faults.losses` at the start."""
    answered: Answered | None = None
    """Told of each request that a caller got an answer to."""
    recorded_frames: int = 1_000
    """How many frames a socket remembers in each direction; 0 records nothing."""

    @property
    def longest_request_line(self) -> int:
        """The request-line limit in force, in bytes without CRLF."""
        if self.request_line_limit is None:
            return REQUEST_LINE_LIMITS[self.variant]
        return self.request_line_limit
