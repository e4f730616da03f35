"""Sessions of the console, which all replicas share."""

from typing import NamedTuple, Protocol


class ConsoleSession(NamedTuple):
    """A session that has not ended."""

    name: str
    """The name that was entered at the sign-in, for the audit."""
    proof: str
    """What the console recorded to recognise the password that opened it."""
    began: float
    """Epoch seconds."""


class ConsoleSessions(Protocol):
    """Sessions by the secret in their cookie, of which only a digest is stored.

    The methods raise `UnavailableError` if Redis is unavailable.
    """

    async def begin(self, secret: str, name: str, proof: str) -> None:
        """Record a session; beyond CONSOLE_MAX_SESSIONS the oldest one ends."""
        ...

    async def find(self, secret: str) -> ConsoleSession | None:
        """The session, whose idle time begins again; None if there is none, or it has ended."""
        ...

    async def end(self, secret: str) -> None:
        """End one session."""
        ...

    async def end_all(self) -> int:
        """End all sessions of all replicas; returns their number."""
        ...
