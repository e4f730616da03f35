"""Calling the hooks of vCons that come in or are deleted, beside the answers to their callers.

A caller does not wait for a hook. At most `MOST_WAITING` calls wait; further ones are left out, and
counted in the log. A call is lost if the process ends before it: the vCon is not.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from pipeline.live_config import Configuration
from pipeline.plugins.errors import log_failure
from pipeline.plugins.hooks import Found
from pipeline.runs.calls import PluginCalls

log = logging.getLogger(__name__)

AT_ONCE = 8
MOST_WAITING = 1000
LAST_SECONDS = 2.0
"""Seconds for the waiting calls when the process stops."""


class VconHooks:
    """`on_vcon_created` and `on_vcon_deleted` of the configuration in force."""

    def __init__(self, configuration: Configuration, calls: PluginCalls) -> None:
        """Hooks are called like other plugins."""
        self.configuration = configuration
        self._calls = calls
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._left_out = 0

    def created(self, vcon_uuid: str, document: bytes, lists: Sequence[str]) -> None:
        """Tell of a vCon that is stored, and is in these lists."""
        hooks = self.configuration.plugins.hooks.on_vcon_created
        self._begin(hooks, lambda: (vcon_uuid, orjson.loads(document), list(lists)))

    def deleted(self, vcon_uuid: str) -> None:
        """Tell of a vCon that is deleted."""
        self._begin(self.configuration.plugins.hooks.on_vcon_deleted, lambda: (vcon_uuid,))

    def _begin(self, hooks: Found, arguments: Callable[[], tuple[Any, ...]]) -> None:
        if not hooks:
            return
        if len(self._tasks) >= MOST_WAITING:
            self._left_out += 1
            return
        if self._left_out:
            log.warning("calls of hooks left out, too many wait", extra={"count": self._left_out})
            self._left_out = 0
        task = asyncio.get_running_loop().create_task(self._call(hooks, arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self, hooks: Found, arguments: Callable[[], tuple[Any, ...]]) -> None:
        async with self._room:
            for hook in hooks:
                try:
                    await self._calls.call(
                        hook.call,
                        *arguments(),
                        is_async=hook.is_async,
                        timeout=hook.seconds,
                        plugin={"hook": hook.name},
                    )
                except Exception as error:  # noqa: BLE001 -- a hook may raise anything
                    log_failure(error, {"hook": hook.name})

    async def close(self) -> None:
        """Wait for the calls that are under way, for `LAST_SECONDS`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_SECONDS)
        for task in self._tasks:
            task.cancel()
