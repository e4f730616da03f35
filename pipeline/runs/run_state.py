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

from core.observability.storable_text import described, storable_json
from pipeline.config.parser import Chain
from pipeline.plugins.loader import Plugins
from pipeline.runs.plan import Progress
from pipeline.runs.queues import Claim, Record
from schemas.run import RunStatus, StepKind, StepOutcome

# A run's memory of its vCon, so that neighbouring links need not each go to Redis.
#
# One run at a time works on a vCon, so nobody else changes it meanwhile but the run's own plugins.
# Of those, one that says `only_through_lib` touches it through `lib` and in no other way: what
# such a plugin reads or writes can be kept here, and be written once for several of them. Before
# any other plugin, and at the end of the run, Redis gets what is unwritten, together with the
# journal: whatever the journal says is done stands in the document, and what is lost with a
# process is done again.


class DocumentCache:
    """The text of one vCon document, and whether Redis has it."""

    __slots__ = ("_text", "_uuid", "in_use", "unwritten")

    def __init__(self) -> None:
        """Empty."""
        self.in_use = False
        """Whether the plugin that runs just now goes through `lib` only."""
        self.unwritten: bytes = b""
        """The text that Redis shall get; empty when it has everything."""
        self._uuid = ""
        self._text: bytes | str | None = None

    def recall(self, vcon_uuid: str) -> bytes | str | None:
        """The document, if it is remembered and may be used."""
        return self._text if self.in_use and vcon_uuid == self._uuid else None

    def read(self, vcon_uuid: str, text: bytes | str) -> None:
        """This is what Redis has; what it shall get is newer, and is what must be remembered."""
        if self.in_use and not self.unwritten:
            self._uuid, self._text = vcon_uuid, text

    def write(self, vcon_uuid: str, text: bytes) -> None:
        """This is what Redis shall have, by the end of the run at the latest."""
        self._uuid, self._text, self.unwritten = vcon_uuid, text, text

    def forget(self) -> None:
        """Somebody else may change the document now."""
        self._uuid, self._text = "", None


log = logging.getLogger(__name__)


@dataclass(slots=True)
class RunState:
    """One claimed vCon on its way through one chain."""

    claim: Claim
    chain: Chain
    plugins: Plugins
    worker: str
    config_hash: str
    started_at: datetime
    progress: Progress
    steps: list[dict[str, Any]] = field(default_factory=list)
    queued_at: str | None = None
    memory: DocumentCache = field(default_factory=DocumentCache)
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
    objection: str | None = None
    """Why the chain cannot take this vCon, at this attempt or a later one."""
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
        self.memory = DocumentCache()
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


current_run: ContextVar[RunState | None] = ContextVar("current_run", default=None)
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


def fresh_run(
    claim: Claim, chain: Chain, plugins: Plugins, worker: str, config_hash: str
) -> RunState:
    """The run of a claim, as if nothing had been done for it."""
    progress = Progress(vcon=claim.vcon_uuid)
    return RunState(claim, chain, plugins, worker, config_hash, datetime.now(UTC), progress)


def resume(live: RunState) -> None:
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
        log.warning("checkpoint not readable; run starts over", extra={"error": described(error)})
        live.start_over()


def _resume(live: RunState, earlier: dict[str, Any]) -> None:
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
