"""The process of a trial: it loads the links of two configurations and runs vCons through them.

It has no connection to Redis or Postgres. A link that hangs, ends the process or takes all its
memory ends only this process; `sandbox.py` starts another one for the next vCon.

Messages to the service are JSON objects with one member: `checked`, `loaded`, `link` (the next one
called), `tried`, or `failed` (a text).
"""

import asyncio
import contextlib
import math
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import orjson

from core.errors import PluginFailedError
from core.observability.redaction import KNOWN
from pipeline.config.law import BasisPolicy
from pipeline.config.model import Chain, LinkStep, PipelineConfig
from pipeline.law.basis.evaluation import evaluate
from pipeline.live_config import keep_secrets
from pipeline.operator.trial.checking import checked
from pipeline.operator.trial.guard import Guard, Refusals
from pipeline.operator.trial.memory import TrialRedis, as_document
from pipeline.operator.trial.messages import (
    CheckSetup,
    LinkState,
    Loaded,
    Request,
    Setup,
    Tried,
)
from pipeline.operator.trial.passage import Links, Passages, Way
from pipeline.operator.trial.undoing import Undoing
from pipeline.operator.trial.views import view
from pipeline.plugins.installer import Installer
from pipeline.plugins.loader import LoadedLink, load_links
from pipeline.redis_client import client
from pipeline.runs.calls import PluginCalls

type Side = Literal["before", "after"]

NICENESS = 10
"""Lower priority than the service and its workers."""
_STATM = Path("/proc/self/statm")


def serve(socket: "Connection[bytes, bytes]", prepare: Callable[[Mapping[str, Any]], None]) -> None:
    """Answer requests until the service closes its end of the socket.

    `prepare` is given the plain settings before a link is imported.
    """
    setup: Setup | CheckSetup = pickle.loads(socket.recv_bytes())  # noqa: S301 -- from the service
    _lower_rights()
    refusals = Refusals()
    guard = Guard(refusals)
    guard.install()
    prepare(setup.settings)
    guard.level = "loading"

    def send(message: dict[str, Any]) -> None:
        socket.send_bytes(orjson.dumps(message))

    if isinstance(setup, CheckSetup):
        send({"checked": checked(setup).model_dump()})
        return
    trials = Trials(setup, refusals, send)
    limit_memory(setup.memory)
    guard.level = "running"
    with asyncio.Runner() as runner, contextlib.suppress(EOFError, ConnectionError):
        while True:
            request: Request = pickle.loads(socket.recv_bytes())  # noqa: S301 -- from the service
            signal.alarm(math.ceil(setup.seconds) + 2)  # for when the service does not end it
            trials.answer(request, runner)
            signal.alarm(0)


def _lower_rights() -> None:
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the service ends this process
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # also for libraries written in C


def limit_memory(more: int) -> None:
    """Limit the address space to what is in use and so many bytes more.

    Only the soft limit, which processes that it starts may replace by their own.
    """
    if not _STATM.exists():  # macOS, which does not carry out this limit either
        return
    used = int(_STATM.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = used + more
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


class Trials:
    """The loaded links, and the answer to each request."""

    def __init__(
        self, setup: Setup, refusals: Refusals, send: Callable[[dict[str, Any]], None]
    ) -> None:
        """Load the links; sends `loaded`."""
        self._send = send
        self._configs: dict[Side, PipelineConfig] = {"before": setup.before, "after": setup.after}
        for config in self._configs.values():
            keep_secrets(config)  # errors of links are redacted here
        self._refusals = refusals
        self._redis = TrialRedis(refusals)
        client.install(self._redis)
        self._calls = PluginCalls(1, self._redis)
        installer = Installer(setup.modules, allowed=False)
        self._links: dict[Side, dict[str, Links]] = {
            "before": {**load_links(setup.before, setup.before_chains, installer)},
            "after": {**load_links(setup.after, setup.after_chains, installer)},
        }
        refusals.take()
        loaded = Loaded(before=self._states("before"), after=self._states("after"))
        send({"loaded": loaded.model_dump()})

    def _states(self, side: Side) -> dict[str, list[LinkState]]:
        chains = self._configs[side].chains
        return {
            name: [_state(step, links[step.plugin]) for step in chains[name].links]
            for name, links in self._links[side].items()
        }

    def answer(self, request: Request, runner: asyncio.Runner) -> None:
        """Carry out one request; sends `link` for each call, then `tried` or `failed`."""
        try:
            tried = runner.run(self._tried(request))
        except MemoryError:
            self._send({"failed": "it takes more memory than a trial may"})
        except Exception as error:  # noqa: BLE001 -- also what a vCon's own content causes
            self._send({"failed": f"{type(error).__name__}: {error}"[:500]})
        else:
            self._send({"tried": tried.model_dump()})

    async def _tried(self, request: Request) -> Tried:
        passages = Passages(
            self._redis, self._calls, self._refusals, lambda name: self._send({"link": name})
        )
        text, undone = request.document, list[str]()
        before = self._way("before", request.before, request) if request.before else None
        if request.recorded is not None and before is not None:
            undoing = Undoing(self._redis, passages, self._refusals)
            text, undone = await undoing.before(request.vcon_uuid, text, before)
        after = self._way("after", request.after, request)
        tried = Tried(
            after=await passages.run(request.vcon_uuid, text, after),
            given=view(as_document(request.document)),
            undone=undone,
        )
        if request.recorded is None and before is not None:
            tried.before = await passages.run(request.vcon_uuid, text, before)
        return tried

    def _way(self, side: Side, name: str, request: Request) -> Way:
        modules = None
        if side == "after" and request.before is not None:
            steps = self._configs["before"].chains[request.before].links
            modules = {step.name: step.plugin.module for step in steps}
        chain = self._configs[side].chains[name]
        links = self._links[side][name]
        refused = _refused(self._configs[side], chain, request)
        return Way(chain, links, request.told, request.recorded, modules, refused)


def _refused(config: PipelineConfig, chain: Chain, request: Request) -> dict[str, str]:
    """Why the law does not allow a purpose of the chain's links, by purpose.

    The vCon as it was given decides: what links add to it is not waited for.
    """
    purposes = {step.requires for step in chain.links if step.requires is not None}
    policy = (config.law and config.law.basis) or BasisPolicy()
    found: dict[str, str] = {}
    document = as_document(request.document) if purposes else {}
    for purpose in purposes:
        decision = evaluate(document, purpose, datetime.now(UTC), policy, request.bases)
        if not decision.allowed:
            found[purpose] = f"would be withheld: {decision.error} for {purpose}"
    return found


def _state(step: LinkStep, link: LoadedLink | PluginFailedError) -> LinkState:
    if isinstance(link, PluginFailedError):
        return LinkState(link=step.name, module=step.plugin.module, error=str(link)[:500])
    KNOWN.learn_from(link.options)
    return LinkState(link=step.name, module=step.plugin.module, pure=link.pure)
