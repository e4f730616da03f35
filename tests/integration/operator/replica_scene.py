"""What the tests of the register and of pauses share: parts as the service builds them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from core.settings import Settings
from pipeline.admin.redis_checks import RedisWatch
from pipeline.live_config import Configuration
from pipeline.operator.register import HostFacts, Register
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.pipeline_fixtures import PATIENCE


def register_of(
    redis: RedisConnection, configuration: Configuration, name: str = "host", **facts: Any
) -> Register:
    """The register of one process, under an id that begins with this name."""
    vars(configuration.config).setdefault("hash", "c0ffee")  # the real one is slow on purpose
    settings = Settings.model_construct(vcon_server_git_commit="abc123")
    register = Register(redis, settings, configuration, RedisWatch(redis))
    register.id = f"{name}:{register.id.partition(':')[2]}"
    register.about = lambda: HostFacts(**facts)
    return register


async def eventually[T](look: Callable[[], Awaitable[T]]) -> T:
    """What `look` returns as soon as that is true."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await look()):  # noqa: ASYNC110 -- Redis sends no event for it
            await asyncio.sleep(0.01)
    return found
