"""A run while it runs, and its journal: what `GetRun` shows and what a take-over goes on from."""

import asyncio
import logging
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from weakref import WeakSet

import orjson

from core.storable_text import described, storable_json
from pipeline.chain import Progress
from pipeline.config import Chain
from pipeline.memory import RunMemory
from pipeline.modules import Guests
from pipeline.queues import Claim, Record
from schemas.run import RunStatus, StepKind, StepOutcome

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LiveRun:
    """One claimed vCon on its way through one chain."""

    claim: Claim
    chain: Chain
    guests: Guests
    worker: str
    config_hash: str
    started_at: datetime
    progress: Progress
    steps: list[dict[str, Any]] = field(default_factory=list)
    queued_at: str | None = None
    memory: RunMemory = field(default_factory=RunMemory)
    began: float = field(default_factory=time.monotonic)
    step_began: float = 0.0
    context: str = ""
    """What its own trace is found by, once it is over."""
    resumed: int = 0
    """How many of the steps are an earlier attempt's."""
    lapses: int = 0
    """How often the lease had lapsed when the run was last known to be ours."""
    not_settled: str | None = None
    """Why an earlier attempt failed that could not be made a dead letter."""
    begun: int = 0
    """How many attempts had begun by then."""
    cancelled: bool = False
    """Somebody wants it to end before its next link."""

    @property
    def attempts(self) -> int:
        """How many attempts have begun: a claim beyond the chain's `max_attempts` begins none."""
        if self.claim.attempt <= self.chain.max_attempts:
            return self.claim.attempt
        return self.begun or self.claim.attempt - 1

    def note(
        self,
        kind: StepKind,
        name: str,
        outcome: StepOutcome,
        seconds: float,
        error: str | None = None,
    ) -> None:
        """Add one finished step."""
        self.steps.append(
            {
                "name": name,
                "kind": kind,
                "outcome": outcome,
                "seconds": round(seconds, 6),
                "error": error,
            }
        )

    def start_over(self) -> None:
        """Forget what has been done: it is not in Redis and will not get there."""
        self.memory = RunMemory()
        self.steps, self.resumed = [], 0
        self.progress = Progress(vcon=self.claim.vcon_uuid)

    def record(self, status: RunStatus = "running") -> Record:
        """What Redis must have so that another worker could go on from here."""
        return Record(self.journal(status), self.progress.vcon, self.memory.unwritten)

    def journal(self, status: RunStatus = "running") -> bytes:
        """The run as JSON, in the shape of `schemas.run.Run`."""
        finished = None if status in ("queued", "running") else _iso(datetime.now(UTC))
        is_run_list = self.claim.list_name.startswith("run:")
        return storable_json(
            {
                "run_id": self.claim.run_id,
                "chain": self.chain.name,
                "vcon_in": self.claim.vcon_uuid,
                "vcon_out": self.progress.vcon,
                "status": status,
                "ingress_list": None if is_run_list else self.claim.list_name,
                "attempts": self.attempts,
                "steps": self.steps,
                "error": self.progress.error,
                "worker": self.worker,
                "config_hash": self.config_hash,
                "queued_at": self.queued_at,
                "started_at": _iso(self.started_at),
                "finished_at": finished,
            }
        )


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


current_run: ContextVar[LiveRun | None] = ContextVar("current_run", default=None)
"""The run on whose behalf this code runs: what fences a link's writes and labels its log lines."""


class Step(Protocol):
    """A link of a chain, a storage or a tracer; some have a `timeout`, too."""

    @property
    def name(self) -> str:
        """What it is called in the configuration."""
        ...


current_step: ContextVar[Step | None] = ContextVar("current_step", default=None)
"""What of the run is called, or was called last: whom a blocked event loop is put down to."""


@dataclass(slots=True)
class PluginCall:
    """One call of a plugin; `abandoned` when its result is not waited for any more."""

    abandoned: bool = False
    tasks: WeakSet[asyncio.Task[Any]] = field(default_factory=WeakSet)
    """The tasks that it has started."""


current_call: ContextVar[PluginCall | None] = ContextVar("current_call", default=None)
"""The call that this code belongs to: one that was given up must change nothing any more."""


def is_abandoned() -> bool:
    """Whether this code belongs to a call whose result is not waited for any more."""
    call = current_call.get()
    return call is not None and call.abandoned


def fresh_run(claim: Claim, chain: Chain, guests: Guests, worker: str, config_hash: str) -> LiveRun:
    """The run of a claim, as if nothing had been done for it."""
    progress = Progress(vcon=claim.vcon_uuid)
    return LiveRun(claim, chain, guests, worker, config_hash, datetime.now(UTC), progress)


def resume(live: LiveRun) -> None:
    """Go on where an earlier attempt's journal says it got.

    A journal of a chain whose links have changed since counts for nothing: the run starts over. So
    does one that is none.
    """
    if not live.claim.journal:
        return
    try:
        earlier = orjson.loads(live.claim.journal)
        live.queued_at = earlier["queued_at"]
        if earlier["status"] == "failed":
            live.not_settled, live.begun = earlier["error"], int(earlier["attempts"])
        _resume(live, earlier)
    except (ValueError, KeyError, TypeError) as error:
        log.warning("journal of a run not understood", extra={"error": described(error)})
        live.start_over()


def _resume(live: LiveRun, earlier: dict[str, Any]) -> None:
    links = _done(earlier, "link")
    expected = [link.name for link in live.chain.links][: len(links)]
    if [step["name"] for step in links] != expected:
        return
    # what was stored before a link that is new in the chain will have to be stored again
    saved = _done(earlier, "storage") if len(links) == len(live.chain.links) else []
    live.steps = links + saved
    live.resumed = len(live.steps)
    live.progress = Progress(
        vcon=earlier["vcon_out"],
        links_done=len(links),
        saved=frozenset(step["name"] for step in saved),
    )


def _done(earlier: dict[str, Any], kind: StepKind) -> list[dict[str, Any]]:
    return [step for step in earlier["steps"] if step["kind"] == kind and step["outcome"] == "ok"]
