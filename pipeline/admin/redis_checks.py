"""Checks of Redis: lost data, keys of another type, missing modules, unsafe settings."""

import logging
import re
import uuid
from collections.abc import Sequence

from core.errors import UnavailableError
from core.observability.metrics import REDIS_LOSSES
from pipeline.config.lists import lists_of
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import NO_DOCUMENT, CommandRefused, RedisConnection
from pipeline.redis_client.errors import NO_JSON
from pipeline.redis_client.list_states import state_of

log = logging.getLogger(__name__)

NAME = "name"
"""The field of `pc:epoch`, which may get others."""


class RedisIdentity:
    """Detects that Redis has lost its data, such as in a restart without persistence.

    `pc:epoch` holds a random name, written if there is none. A process remembers the first name it
    read; another name means that everything queued before is lost.
    """

    def __init__(self, connection: RedisConnection) -> None:
        """The first `look` reads the name."""
        self._connection = connection
        self._known: str | None = None

    async def look(self) -> None:
        """Read the name, or write one; another name than before is logged and counted.

        Raises:
            UnavailableError: when Redis cannot be reached.
        """
        found = await self._connection.command("HGET", keys.EPOCH, NAME) or await self._named()
        if self._known is not None and found != self._known:
            REDIS_LOSSES.inc()
            log.error(
                "redis has come back without its data",
                extra={
                    "error": "pc:epoch is not the one this process knows: what was queued or in"
                    " flight is gone; see docs/operations.md"
                },
            )
        self._known = found

    async def _named(self) -> str:
        """The name, which another replica may have given meanwhile."""
        await self._connection.command("HSETNX", keys.EPOCH, NAME, uuid.uuid4().hex)
        return str(await self._connection.command("HGET", keys.EPOCH, NAME))


class UnusableKeys:
    """Logs keys of this service to which another program has given another type.

    Runs that need such a key wait until it is gone. Each is logged once, and is also in
    `patchcord_unusable_keys`, in `ListChains` and in the output of `check`.
    """

    def __init__(
        self, connection: RedisConnection, configuration: Configuration, sorted_set: str
    ) -> None:
        """`sorted_set`: the name of the index by time."""
        self._connection = connection
        self._configuration = configuration
        self._sorted_set = sorted_set
        self._logged: set[str] = set()

    async def look(self) -> None:
        """Log what has changed since the last look."""
        lists = lists_of(self._configuration.config).all
        unusable = (await state_of(self._connection, lists, self._sorted_set)).unusable
        for name in unusable.keys() - self._logged:
            log.warning("key cannot be used", extra={"list": name, "error": unusable[name]})
        for name in self._logged - unusable.keys():
            log.warning("key can be used again", extra={"list": name})
        self._logged = set(unusable)


class RedisWatch:
    """Keeps `warnings` current: Redis may be replaced or reconfigured at any time."""

    def __init__(self, connection: RedisConnection) -> None:
        """`warnings` is empty until the first `round`."""
        self._connection = connection
        self.warnings: Sequence[str] = ()

    async def round(self) -> None:
        """Check once; each change is logged.

        Raises:
            UnavailableError: when Redis cannot be reached.
        """
        found = await shortcomings(self._connection)
        if found == self.warnings:
            return
        for warning in found:
            if warning not in self.warnings:
                level = logging.ERROR if warning == NO_JSON else logging.WARNING
                log.log(level, "redis is not fit", extra={"error": warning})
        if not found:
            log.info("redis is fit")
        self.warnings = found


async def shortcomings(connection: RedisConnection) -> list[str]:
    """That it has no JSON, too few replicas, and each setting by which it may lose vCons.

    Raises:
        UnavailableError: when Redis cannot be reached.
    """
    told = [] if await has_json(connection) else [NO_JSON]
    return (
        told
        + [
            f"Redis may lose vCons: its {name} is {value}, set it to {safe}"
            for name, value, safe in await losses(connection)
        ]
        + await _missing_replicas(connection)
    )


async def _missing_replicas(connection: RedisConnection) -> list[str]:
    wanted = connection.wait.replicas
    if not wanted:
        return []
    try:
        reply = str(await connection.command("INFO", "replication"))
    except CommandRefused:
        return []
    found = re.search(r"connected_slaves:(\d{1,9})", reply)
    if found is None or int(found[1]) >= wanted:
        return []
    return [
        f"nothing is accepted (503): REDIS_WAIT_REPLICAS is {wanted}, and Redis has "
        f"{found[1]} replicas"
    ]


async def has_json(connection: RedisConnection) -> bool:
    """False if Redis reports that it has no JSON commands.

    Raises:
        UnavailableError: when Redis cannot be reached.
    """
    try:
        await connection.command("JSON.TYPE", NO_DOCUMENT)
    except UnavailableError as error:
        if str(error) != NO_JSON:
            raise
        return False
    except CommandRefused:  # such as by the user's rights, which are reported where JSON is used
        return True
    return True


KEEPS_EVERYTHING = {"appendfsync": "always", "appendonly": "yes", "maxmemory-policy": "noeviction"}
"""Settings with which Redis keeps every acknowledged write; see docs/operations.md."""


async def losses(connection: RedisConnection) -> list[tuple[str, str, str]]:
    """The settings by which Redis may lose vCons: name, value, and what it should be.

    Raises:
        UnavailableError: when Redis cannot be reached.
    """
    try:
        reply = await connection.command("CONFIG", "GET", *KEEPS_EVERYTHING)
    except CommandRefused:  # a managed Redis may forbid CONFIG
        return []
    pairs = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
    found = ((name, pairs.get(name, safe), safe) for name, safe in KEEPS_EVERYTHING.items())
    return [(name, value, safe) for name, value, safe in found if value != safe]
