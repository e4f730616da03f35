"""Tasks and flows for actions: only those that the configuration exposes."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from core.errors import (
    ForbiddenError,
    InvalidError,
    PatchcordError,
    PluginFailedError,
    TooLateError,
    UnknownNameError,
)
from core.observability.logs import without_secrets
from pipeline.connections.registry import Result, ServiceConnections
from pipeline.live_config import Configuration
from schemas.connection import ConnectionSummary

CHECK_SECONDS = 5.0

_INVALID = "FlowValidationError"
_LATE = ("TimeoutError", "ConnectionTimeoutError")


class ConnectionsApi:
    """Runs exposed tasks and flows."""

    def __init__(self, configuration: Configuration, connections: ServiceConnections) -> None:
        self._configuration = configuration
        self._connections = connections

    async def connections(self) -> list[ConnectionSummary]:
        """Every connection, each tried for at most `CHECK_SECONDS`."""
        specs = list(self._configuration.config.connections.values())
        health = await asyncio.gather(*(self._health(spec.name) for spec in specs))
        return [
            ConnectionSummary(name=spec.name, type=spec.type, health=each, tasks=list(spec.expose))
            for spec, each in zip(specs, health, strict=True)
        ]

    async def _health(self, name: str) -> str:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return without_secrets(await self._connections.check(name) or "ok")
        except TimeoutError:
            return f"no answer within {CHECK_SECONDS:g} s"

    async def run_task(
        self, connection: str, task: str, params: Mapping[str, Any], timeout: float
    ) -> dict[str, Any]:
        """The outputs of one task that its connection exposes."""
        known = self._configuration.config.connections
        if connection not in known:
            raise UnknownNameError("connection", connection, list(known))
        if task not in known[connection].expose:
            await self._require_task(known[connection].type, task)
            raise ForbiddenError(f"{connection} does not expose {task}")
        result = await _in_time(self._connections.run_task(connection, task, params), timeout)
        outputs: dict[str, Any] = _succeeded(result)["outputs"]
        return outputs

    async def run_flow(
        self, flow: str, inputs: Mapping[str, Any], timeout: float
    ) -> dict[str, Any]:
        """The result of an exposed flow."""
        flows = self._configuration.config.flows
        if not await self._connections.has_flow(flow):
            raise UnknownNameError("flow", flow, flows.expose)
        if flow not in flows.expose:
            raise ForbiddenError(f"the flow {flow} is not exposed")
        result = _succeeded(await _in_time(self._connections.run_flow(flow, inputs), timeout))
        return {key: value for key, value in result.items() if key != "success"}

    async def _require_task(self, kind: str, task: str) -> None:
        if not await self._connections.has_task(kind, task):
            raise UnknownNameError("task", task)


async def _in_time(work: Awaitable[Result], seconds: float) -> Result:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise TooLateError(f"did not end within {seconds:g} s") from None


def _succeeded(result: Result) -> Result:
    if not result["success"]:
        raise _error(result)
    return result


def _error(result: Result) -> PatchcordError:
    """`InvalidError` for wrong parameters, 502 or 504 for what the connection did."""
    text = str(result["error"])
    if result["error_type"] == _INVALID and "step" not in result:
        return InvalidError(text)
    step = f"step {result['step']}: " if "step" in result else ""
    cause = result.get("cause", "")
    root = cause.partition(":")[0] or result["error_type"]
    kind = TooLateError if root in _LATE else PluginFailedError
    return kind(f"{step}{_with_cause(text, cause)}")


def _with_cause(text: str, cause: str) -> str:
    """The text, with the parts of `cause` (`type: message`) that it does not contain."""
    kind, _, message = cause.partition(": ")
    missing = kind if message in text else cause
    return text if missing in text else f"{text} ({missing})"
