"""A stand-in for Redis that holds one vCon, for links in a trial.

It takes the place of the process's connection, so everything that `lib` reads and writes ends here.
Commands on the vCon's own key are carried out on the document in memory; all others are refused.
"""

import json
from typing import Any, override

import orjson

from pipeline.operator.trial.guard import Refusals
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection, Reply

_ADDRESS = "redis://trial.invalid"
"""Nothing connects to it: every method that would is replaced."""
_NO_EXPIRY, _NO_KEY = -1, -2


class TrialRedis(RedisConnection):
    """A connection to nothing; `begin` puts the vCon of the next trial into it."""

    def __init__(self, refusals: Refusals) -> None:
        super().__init__(_ADDRESS)
        self._refusals = refusals
        self.sync = self.asynchronous = _Driver(refusals, "redis")  # type: ignore[assignment]
        self._uuid, self._text = "", b""
        self.expiry: int | None = None
        """The time to live that a link has set, in seconds."""

    def begin(self, vcon_uuid: str, text: bytes) -> None:
        """Hold this vCon and no other."""
        self._uuid, self._text, self.expiry = vcon_uuid, text, None

    @property
    def text(self) -> bytes:
        """The vCon as it is now, as JSON."""
        return self._text

    @override
    async def command(self, *words: Any) -> Reply:
        return self._reply(*words)

    @override
    def command_from_thread(self, *words: Any) -> Reply:
        return self._reply(*words)

    @override
    async def script(self, name: str, *arguments: Any) -> Reply:
        return self._done(name, *arguments)

    @override
    def script_from_thread(self, name: str, *arguments: Any) -> Reply:
        return self._done(name, *arguments)

    @override
    async def reachable(self) -> bool:
        return True

    @override
    async def ends_runs(self) -> bool:
        return True

    @override
    async def wait_until_reachable(self) -> None:
        return

    @override
    async def wait_until_runs_end(self) -> None:
        return

    @override
    async def close(self) -> None:
        return

    def _reply(self, name: str, *words: Any) -> Reply:
        document, about = keys.vcon(self._uuid), keys.about(self._uuid)
        match (name, *words):
            case ("JSON.GET", key) if key == document:
                return self._text.decode()
            case ("EXISTS", key) if key == document or key.startswith(keys.tombstone("")):
                return int(key == document)
            case ("TTL", key) if key == document:
                return _NO_EXPIRY
            case ("HGET", key, "expiry") if key == about:
                return None if self.expiry is None else str(self.expiry)
            case ("HDEL", key, "expiry") if key == about:
                had, self.expiry = self.expiry is not None, None
                return int(had)
            case ("PERSIST", key) if key == document:
                return 0
        raise self._refusals.refuse(f"Redis, {name} {words[0] if words else ''}".rstrip())

    def _done(self, name: str, *words: Any) -> Reply:
        """Carry out a script. A large document is taken whole: it is not `stage`d."""
        match (name, *words):
            case ("stage", *_):
                raise CommandRefused("no pieces here")
            case ("place", uuid, text, expiry) if uuid == self._uuid:
                self._text = text if isinstance(text, bytes) else text.encode()
                self.expiry = int(expiry) or self.expiry
                return 1
            case ("expire", uuid, seconds) if uuid == self._uuid:
                self.expiry = int(seconds)
                return 1
        raise self._refusals.refuse(f"Redis, {_told(name, words)}")


def _told(name: str, words: tuple[Any, ...]) -> str:
    """A refused script in words, with the vCon it is about."""
    text = {"place": "writing the vCon", "expire": "the time to live of the vCon"}.get(name, name)
    return f"{text} {words[0] if words else ''}".rstrip()


class _Driver:
    """Refuses every method of the driver's client."""

    def __init__(self, refusals: Refusals, name: str) -> None:
        self._refusals = refusals
        self._name = name

    def __getattr__(self, name: str) -> "_Driver":
        return _Driver(self._refusals, f"{self._name}.{name}")

    def __call__(self, *words: Any, **_: Any) -> "_Driver":
        if self._name.endswith((".json", ".pipeline")):
            return self
        key = f" {words[0]!r}" if words and isinstance(words[0], str) else ""
        raise self._refusals.refuse(f"Redis, {self._name}{key}")


def as_document(text: bytes) -> dict[str, Any]:
    """The JSON of a vCon as a dict.

    Raises:
        ValueError: it is no object, or no JSON.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:  # numbers or surrogates that orjson refuses
        document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("the vCon is no JSON object")  # noqa: TRY004 -- one error for both
    return document
