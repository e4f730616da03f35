"""Calling the hooks of runs: before the first link, after each link, and after a run has ended.

A hook's failure, and one that does not end in time, is logged and the run goes on; only
`before_processing` of a hook with `on_error: fail` fails the attempt. `before_processing` may be
called again when an attempt is repeated from its first link; `after_processing` once the end of the
run has been recorded, so not if the process dies in between, nor for a run that is withheld.

A hook with `requires` is called only if the law of the vCon allows its purpose at that moment.
`before_processing`, which may end the run, withholds it otherwise; the other two are left out.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import orjson

from core.errors import ConflictError, PluginFailedError, UnavailableError
from pipeline.config.model import Chain, LinkStep
from pipeline.plugins.errors import describe, log_failure
from pipeline.plugins.hooks import LoadedHook
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused, RedisConnection
from pipeline.runs import plan
from pipeline.runs.calls import PluginCalls
from pipeline.runs.parking import Parked
from pipeline.runs.run_state import RunState
from pipeline.runs.withholding import Withheld
from pipeline.worker.admission import Admission

log = logging.getLogger(__name__)

MOST_PARTIES = 1000
"""Telephone numbers and mail addresses of a vCon that a hook is given."""


class RunHooks:
    """Calls the hooks of a run's configuration."""

    def __init__(
        self, connection: RedisConnection, calls: PluginCalls, admission: Admission
    ) -> None:
        """Hooks are called like other plugins; `admission` is asked about those with `requires`."""
        self._admission = admission
        self._connection = connection
        self._calls = calls

    async def before(self, live: RunState) -> plan.Progress:
        """The progress after `before_processing`: a falsy result ends the run as halted.

        Raises:
            Withheld: the law does not allow a hook.
            LookupError, Parked, UnavailableError: as `Gate.basis`.
        """
        for hook in live.plugins.hooks.before_processing:
            await self._admission.basis(live, "hook", hook.name, hook.requires)
            arguments = live.progress.vcon, _details(live.chain), _context(live)
            returned, failure = await self._call(hook, arguments)
            if failure is not None and hook.fails:
                return plan.after_failure(live.progress, f"hook {hook.name}: {describe(failure)}")
            if failure is None and not returned:
                text = f"skipped: before_processing of hook {hook.name} returned nothing"
                return plan.after_skip(live.progress, text)
        return live.progress

    async def after_link(
        self, live: RunState, step: LinkStep, vcon_in: str, error: Exception | str | None
    ) -> None:
        """Tell of a link that has ended; `error` is why it failed."""
        failure = RuntimeError(error) if isinstance(error, str) else error
        options = live.plugins.link(step).options
        told = dict(options) if isinstance(options, Mapping) else dict(step.plugin.options)
        parties = await self._parties(vcon_in)
        arguments = (
            *(vcon_in, step.name, sys.modules.get(step.plugin.module), told),
            *(told.get("after_link") or {}, "error" if failure else "success", failure, parties),
        )
        for hook in live.plugins.hooks.after_link:
            if await self._is_allowed(live, hook):
                await self._call(hook, arguments)

    async def after(self, live: RunState) -> None:
        """Tell of a run whose end is recorded."""
        failed = live.progress.ended == "failed"
        error = PluginFailedError(live.progress.error or "failed") if failed else None
        arguments = live.progress.vcon, _details(live.chain), _context(live), error
        for hook in live.plugins.hooks.after_processing:
            if await self._is_allowed(live, hook):
                await self._call(hook, arguments)

    async def _is_allowed(self, live: RunState, hook: LoadedHook) -> bool:
        """Whether the law allows it; not if that cannot be known now."""
        try:
            await self._admission.basis(live, "hook", hook.name, hook.requires)
        except (Withheld, Parked, UnavailableError, LookupError, CommandRefused) as error:
            text = f"hook {hook.name}: {describe(error)}"
            log.info("hook left out", extra={"vcon": live.progress.vcon, "error": text})
            return False
        return True

    async def _call(
        self, hook: LoadedHook, arguments: tuple[Any, ...]
    ) -> tuple[object, Exception | None]:
        """What it returned, or its failure."""
        try:
            how: Any = {"is_async": hook.is_async, "timeout": hook.seconds}
            returned = await self._calls.call(
                hook.call, *arguments, **how, plugin={"hook": hook.name}
            )
            return bool(returned), None
        except ConflictError:
            raise
        except Exception as error:  # noqa: BLE001 -- a hook may raise anything; the run goes on
            log_failure(error, {"hook": hook.name})
            return None, error

    async def _parties(self, vcon_uuid: str) -> list[str]:
        """The telephone numbers and mail addresses of the vCon's parties."""
        try:
            text = await self._connection.command("JSON.GET", keys.vcon(vcon_uuid), "$.parties")
            [parties] = orjson.loads(text or b"[[]]")
            found = [p.get(name) for p in parties for name in ("tel", "mailto") if p]
        except (UnavailableError, CommandRefused, ValueError, TypeError, AttributeError):
            return []
        return [each for each in found if isinstance(each, str) and each][:MOST_PARTIES]


def _details(chain: Chain) -> dict[str, Any]:
    """The chain as vcon-server's hooks get it, a new object for each call."""
    return {
        "name": chain.name,
        "links": [link.name for link in chain.links],
        "storages": [storage.name for storage in chain.storages],
        "ingress_lists": list(chain.ingress_lists),
        "egress_lists": list(chain.egress_lists),
        "enabled": 1,
        "timeout": chain.seconds,
    }


def _context(live: RunState) -> dict[str, Any]:
    """The list, and the trace of the producer if there is one."""
    try:
        given = orjson.loads(live.claim.context) if live.claim.context else {}
    except ValueError:
        given = {}
    traced = given if isinstance(given, dict) else {}
    return {**traced, "ingress_list": live.claim.list_name}
