"""Deliberate faults of the board."""

from dataclasses import dataclass


@dataclass(slots=True)
class Faults:
    """Faults in force; the fields may be changed at any time.

    All except `losses`, which the real Plugboard has too, are off by default.
    """

    refuse_connects: str | None = None
    """Raw text sent, before the connection is closed, instead of any answer to a WebSocket
    handshake, such as `HTTP/1.0 502 Bad Gateway` and two line ends."""
    hang_connects: bool = False
    """WebSocket handshakes are never answered."""
    ignore_joins: bool = False
    crash_joins: bool = False
    """Every join is answered with `join crashed`."""
    ignore_heartbeats: bool = False
    """Phoenix heartbeats stay unanswered; pings are answered and pushes go on."""
    ignore_responses: bool = False
    """Answers are swallowed; their callers time out."""
    losses: bool = True
    """Lose what the real one loses: the next request after a consumer has left, if the rotation
    pointed behind it, and each twelfth of those that come within 5 ms."""
    lose_requests: int = 0
    """How many of the next requests are accepted and never pushed."""
    send_delay: float = 0.0
    """Seconds by which every message to a consumer is late; the order holds."""
