"""The connections of `config.yml` in one process, shared by links, storages and actions.

FlowLang's engine takes 0.1 s to import, so it is imported when the first connection is used.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.config.model import PipelineConfig

if TYPE_CHECKING:
    from pipeline.connections.flows import Flows

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
"""Interval of the checks of open connections, so that a lost one is replaced before its use."""

type Result = dict[str, Any]
"""`success`, `outputs`; or `success`, `error`, `error_type`, and `step` and `cause` if known."""


class ServiceConnections:
    """Runs tasks and flows over connections that are opened at first use and kept open."""

    def __init__(self, config: PipelineConfig) -> None:
        """Connect to nothing yet."""
        self.config = config
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flows: Flows | None = None
        self._taken: PipelineConfig | None = None
        self._taking = asyncio.Lock()

    def take(self, config: PipelineConfig) -> None:
        """Use another configuration from the next call on; unchanged connections stay open."""
        self.config = config

    async def run_task(self, connection: str, task: str, params: Mapping[str, Any]) -> Result:
        """Run one task of a connection."""
        return await (await self._current()).task(connection, task, params)

    async def run_flow(self, flow: str, inputs: Mapping[str, Any]) -> Result:
        """Run a flow, a file in the folder of flows."""
        return await (await self._current()).flow(self.config.flows.folder, flow, inputs)

    async def has_flow(self, flow: str) -> bool:
        """Whether the folder of flows has this flow."""
        return (await self._current()).has_flow(self.config.flows.folder, flow)

    async def has_task(self, kind: str, task: str) -> bool:
        """Whether connections of this type have such a task."""
        return (await self._current()).has_task(kind, task)

    async def check(self, connection: str) -> str | None:
        """Check a connection, opening it if necessary: its error, None if it is well."""
        return await (await self._current()).check(connection)

    def from_thread[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run one of these coroutines from a plugin's thread, and return its result.

        Raises:
            RuntimeError: called on the event loop, which would block itself.
        """
        loop = self._loop
        with contextlib.suppress(RuntimeError):
            if asyncio.get_running_loop() is loop:
                loop = None
        if loop is None:
            work.close()
            raise RuntimeError("on an event loop, await the asynchronous function instead")
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    async def look_after(self) -> None:
        """Check the open connections every `LOOK_SECONDS`, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._flows is not None:
                await (await self._current()).check_open()

    async def close(self) -> None:
        """Close them all."""
        if self._flows is not None:
            await self._flows.close()

    async def _current(self) -> "Flows":
        if self._flows is not None and self._taken is self.config:
            return self._flows
        async with self._taking:
            self._loop = asyncio.get_running_loop()
            if self._flows is None:
                from pipeline.connections.flows import Flows  # noqa: PLC0415 -- see the head of this file

                self._flows = Flows()
            config = self.config
            if self._taken is not config:
                await self._flows.adopt(config)
                self._taken = config
            return self._flows


_installed: ServiceConnections | None = None


def install(config: PipelineConfig) -> ServiceConnections:
    """Create the connections of this process, which plugins find through `lib`."""
    global _installed  # noqa: PLW0603 -- once per process, as its connection to Redis
    _installed = ServiceConnections(config)
    return _installed


def installed() -> ServiceConnections:
    """The connections of this process. Raises RuntimeError where there are none."""
    if _installed is None:
        raise RuntimeError("there are no connections outside of the service")
    return _installed
