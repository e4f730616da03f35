"""What Redis lacks or is set to that loses vCons: told when it changes, shown by `/ready`."""

import logging
from collections.abc import Sequence

from core.errors import UnavailableError
from pipeline.connection import NO_DOCUMENT, CommandRefused, RedisConnection
from pipeline.connection_errors import NO_JSON
from pipeline.housekeeping import losses

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Seconds between two looks: Redis may be replaced by another, or set otherwise, while we run."""


class RedisWatch:
    """Looks every now and then, beside the pipeline."""

    def __init__(self, connection: RedisConnection) -> None:
        """Nothing is known before the first `round`."""
        self._connection = connection
        self.warnings: Sequence[str] = ()

    async def round(self) -> None:
        """Look once; each change is logged.

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
    """That it has no JSON, and each setting by which it may lose vCons.

    Raises:
        UnavailableError: when Redis cannot be reached.
    """
    told = [] if await has_json(connection) else [NO_JSON]
    return told + [
        f"Redis may lose vCons: its {name} is {value}, set it to {safe}"
        for name, value, safe in await losses(connection)
    ]


async def has_json(connection: RedisConnection) -> bool:
    """Whether Redis knows JSON, or at least does not say that it does not.

    Raises:
        UnavailableError: when Redis cannot be reached.
    """
    try:
        await connection.command("JSON.TYPE", NO_DOCUMENT)
    except UnavailableError as error:
        if str(error) != NO_JSON:
            raise
        return False
    except CommandRefused:  # such as by the rights of the user, which is told where it is used
        return True
    return True
