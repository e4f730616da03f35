"""Sessions of the console in Redis: `pc:session:{digest}` each, and the register `pc:sessions`."""

import hashlib
import time
from typing import Any

import orjson

from core.console_interfaces import ConsoleSession, ConsoleSessions
from core.setting_groups.console import ConsoleSettings
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection


class RedisConsoleSessions(ConsoleSessions):
    """The sessions that all replicas share."""

    def __init__(self, redis: RedisConnection, settings: ConsoleSettings) -> None:
        self._redis = redis
        self._length = settings.console_session_hours * 3600
        self._idle = settings.console_idle_minutes * 60
        self._most = settings.console_max_sessions

    async def begin(self, secret: str, name: str, proof: str) -> None:
        """Record a session; beyond CONSOLE_MAX_SESSIONS the oldest one ends."""
        text = orjson.dumps({"name": name, "proof": proof, "began": time.time()})
        idle, length = _seconds(self._idle), _seconds(self._length)
        await self._redis.script("session", _digest(secret), text, idle, length, self._most)

    async def find(self, secret: str) -> ConsoleSession | None:
        """The session, whose idle time begins again; None if there is none, or it has ended."""
        key = keys.session(_digest(secret))
        session = _session(await self._redis.command("GET", key))
        if session is None:
            return None
        left = min(self._idle, session.began + self._length - time.time())
        if left <= 0:
            await self.end(secret)
            return None
        await self._redis.command("EXPIRE", key, _seconds(left))
        return session

    async def end(self, secret: str) -> None:
        """End one session."""
        await self._redis.script("sessions_end", _digest(secret))

    async def end_all(self) -> int:
        """End all sessions of all replicas; returns their number."""
        return int(await self._redis.script("sessions_end"))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _seconds(duration: float) -> int:
    return max(1, int(duration))


def _session(text: str | None) -> ConsoleSession | None:
    """The session of a text in Redis; None for a text that this service did not write."""
    try:
        found: Any = orjson.loads(text) if text else None
        return ConsoleSession(str(found["name"]), str(found["proof"]), float(found["began"]))
    except (ValueError, TypeError, KeyError):
        return None
