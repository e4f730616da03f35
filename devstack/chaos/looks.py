"""The conditions that scenarios poll."""

from collections.abc import Awaitable, Callable

from devstack.chaos.system.system import System
from devstack.service import ServiceProcess

type Look[T] = Callable[[], Awaitable[T]]


async def length(system: System, name: str) -> int:
    """A condition: the length of a list."""
    return int(await system.redis.llen(name))


def as_long_as(system: System, name: str, count: int) -> Look[bool]:
    """A condition: a list has at least `count` elements."""

    async def look() -> bool:
        return await length(system, name) >= count

    return look


def empty(system: System, name: str) -> Look[bool]:
    """A condition: a list is empty."""

    async def look() -> bool:
        return await length(system, name) == 0

    return look


def in_list(system: System, name: str, vcon_uuid: str) -> Look[bool]:
    """A condition: a vCon is in a list."""

    async def look() -> bool:
        return await system.redis.lpos(name, vcon_uuid) is not None

    return look


def gone_from_redis(system: System, key: str) -> Look[bool]:
    """A condition: Redis does not have this key."""

    async def look() -> bool:
        return not await system.redis.exists(key)

    return look


def in_flight(system: System, count: int) -> Look[bool]:
    """A condition: workers hold at least `count` vCons."""

    async def look() -> bool:
        return (await system.backlog())["in flight"] >= count

    return look


def noted(system: System, what: str, name: str, vcon_uuid: str) -> Look[list[int]]:
    """The ids of the processes that have written this event of a vCon, in order."""

    async def look() -> list[int]:
        wanted = (what, name, vcon_uuid)
        lines = system.ledger.lines()
        return [line.pid for line in lines if (line.what, line.name, line.vcon_uuid) == wanted]

    return look


def logged(service: ServiceProcess, text: str) -> Look[bool]:
    """A condition: a service's log contains this text."""

    async def look() -> bool:
        return text in service.logged()

    return look
