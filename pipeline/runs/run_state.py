"""The state of a run in progress, and its checkpoint, from which a later attempt resumes.

Document cache. One run at a time holds a vCon, so only the run's own plugins change it. A plugin
that declares `only_through_lib` reads and writes it through `lib` alone, so its writes can be kept
here and be written once for several plugins. Before any other plugin, and at the end of the run,
the unwritten document goes to Redis together with the checkpoint, in one script: steps that the
checkpoint calls done are in the document, and steps that are lost with a process are repeated.
"""

import asyncio
import time
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol
from weakref import WeakSet

from core.observability.storable_text import storable_json
from pipeline.config.parser import Chain
from pipeline.custody.ledger_notes import LedgerNotes
from pipeline.media.media import RunBodies
from pipeline.plugins.loader import Plugins
from pipeline.runs.marks import LOST, Mark, uncertain
from pipeline.runs.parking import Parked
from pipeline.runs.plan import Progress
from pipeline.runs.queues import Claim, Record
from pipeline.runs.withholding import Untraced, Withheld
from schemas.run import RunStatus, StepKind, StepOutcome


class DocumentCache:
    """The text of one vCon document, and whether Redis has it."""

    __slots__ = (
        "_base",
        "_base_uuid",
        "_is_ours",
        "_text",
        "_uuid",
        "_writes",
        "in_use",
        "length",
        "unwritten",
    )

    def __init__(self) -> None:
        """Empty."""
        self.in_use = False
        """Whether the current plugin uses `lib` only."""
        self.unwritten: bytes = b""
        """The text that is to be written to Redis; empty if Redis has it."""
        self.length = 0
        """The length of the largest text so far: what the run holds in memory."""
        self._uuid = ""
        self._text: bytes | str | None = None
        self._is_ours = False
        self._base_uuid = ""
        self._base: bytes | str | None = None
        self._writes = 0

    def recall(self, vcon_uuid: str) -> bytes | str | None:
        """The document's text, if it is known and may be used by the current plugin."""
        return self._text if self.in_use and vcon_uuid == self._uuid else None

    def written(self, vcon_uuid: str) -> bytes | str | None:
        """The same, if a plugin has written it through `lib`, so that its form is canonical."""
        return self.recall(vcon_uuid) if self._is_ours else None

    def read(self, vcon_uuid: str, text: bytes | str, writes: int | None = None) -> None:
        """Remember a text that was read from Redis, unless an unwritten one is newer.

        `writes`: what `writes` returned before the read; it is the base of a patch only then.
        """
        self.length = max(self.length, len(text))
        if self.unwritten:
            return
        if self.in_use and text is not self._text:
            self._uuid, self._text, self._is_ours = vcon_uuid, text, False
        if writes == self._writes:
            self._base_uuid, self._base = vcon_uuid, text

    def write(self, vcon_uuid: str, text: bytes) -> None:
        """Keep a text that is to be written, by the end of the run at the latest."""
        self.length = max(self.length, len(text))
        self._uuid, self._text, self.unwritten, self._is_ours = vcon_uuid, text, text, True

    def forget(self) -> None:
        """Drop the text: the next plugin may change the document in Redis."""
        self._uuid, self._text = "", None
        self._base_uuid, self._base = "", None

    def superseded(self, vcon_uuid: str) -> None:
        """Drop the text of a document that has been written without it."""
        if vcon_uuid == self._uuid:
            self._uuid, self._text, self.unwritten = "", None, b""

    def is_large(self, size: int) -> bool:
        """Whether the document that was last read or written has more than so many bytes."""
        return len(self._text or self._base or b"") > size

    # A patch (`document_paths.py`) is the difference to the text that Redis has, the base. It must
    # be known for certain: while a write is under way there is none, so that a second write, which
    # may arrive first, writes the whole document, and so does one that is repeated.

    @property
    def writes(self) -> int:
        """A number that changes when a write begins."""
        return self._writes

    def base(self, vcon_uuid: str) -> bytes | str | None:
        """The text that Redis has, if that is known."""
        return self._base if vcon_uuid == self._base_uuid else None

    def known(self, vcon_uuid: str) -> bytes | str | None:
        """The document's text as the current plugin finds it, if that is known."""
        found = self.recall(vcon_uuid)
        return self.base(vcon_uuid) if found is None else found

    def begin_write(self) -> int:
        """A write begins; returns what `end_write` gets."""
        self._writes += 1
        self._base_uuid, self._base = "", None
        return self._writes

    def end_write(self, vcon_uuid: str, text: bytes, begun: int) -> None:
        """A write has succeeded; its text is the base unless another one has begun since."""
        if begun == self._writes:
            self._base_uuid, self._base = vcon_uuid, text


@dataclass(frozen=True, slots=True)
class FirstTry:
    """A try at a storage that the thread of the links has made, right after them."""

    began: float
    """A time of `time.perf_counter`."""
    error: Exception | None = None
    counts: bool = True
    """False: Redis failed meanwhile, so that it is no failure of the storage."""


@dataclass(slots=True)
class RunState:
    """One attempt of a run, from its claim to its settlement."""

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
    media: RunBodies = field(default_factory=RunBodies)
    began: float = field(default_factory=time.monotonic)
    step_began: float = 0.0
    context: str = ""
    """The trace context of this attempt, for readers of the egress lists."""
    resumed: int = 0
    """How many of `steps` an earlier attempt has done."""
    lapses: int = 0
    """`Lease.lapses` when this worker last certainly held the run."""
    not_settled: str | None = None
    """The error of an earlier attempt that could not become a dead letter."""
    refusal: str | None = None
    """Why its steps must not be repeated, although they are not known as done; None otherwise."""
    is_unsure: bool = False
    """A step that must not be repeated had begun, and its mark is lost."""
    objection: str | None = None
    """Why the run may not begin, at this attempt or a later one; None if it may."""
    begun: int = 0
    """The number of attempts at that time."""
    cancelled: bool = False
    """A cancellation is requested: the run ends before its next link."""
    parked: Parked | None = None
    """What a step waits for; the attempt ends here, and does not count."""
    withheld: Withheld | None = None
    """Why the law does not allow its next step; the run ends here for now."""
    untraced: Untraced | None = None
    """The tracers of its last link that are still to be called."""
    recovered: bool = False
    """It was queued again because Redis had lost it."""
    marks: tuple[Mark, ...] = ()
    """The marks of steps that have begun, while their outcome is unknown."""
    given_up: tuple[Mark, ...] = ()
    """Those of storages: each is a dead letter of its own when the run ends."""
    is_noted: bool = False
    """Custody in Postgres has a mark of this attempt."""
    kept: tuple[list[dict[str, Any]], Progress] | None = None
    """Steps of which one must not be repeated, as Redis has them, and how far they are."""
    continues: str = ""
    """The failed run that this one goes on with; "" if it is none or started over."""
    first_try: FirstTry | None = None
    """Of the chain's one storage, until the outcome is noted."""
    is_delayed: bool = False
    """This attempt has ended with a delayed retry."""
    version: str = ""
    """The uuid of the version that the egress lists get; "" if they get the vCon itself."""
    ledger: LedgerNotes | None = None
    """What the run tells the ledger; None while it has told nothing."""

    @property
    def effect_run(self) -> str:
        """The run that effect keys name: that of a replay which goes on is the failed one."""
        return self.continues or self.claim.run_id

    @property
    def is_at_its_start(self) -> bool:
        """Whether no step of the run is done, at this attempt or an earlier one."""
        done = self.progress
        return not (done.links_done or done.saved or done.refused or done.ended)

    @property
    def attempts(self) -> int:
        """The number of attempts so far; a claim beyond `max_attempts` is none."""
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
        if self.ledger is not None:
            self.ledger.end(kind, name, outcome, error)

    def start_over(self) -> None:
        """Drop the unwritten document and the steps, which will not get to Redis.

        Those stay that Redis has, if one of them must not be repeated.
        """
        self.memory = DocumentCache()
        self.steps, self.resumed, self.untraced = [], 0, None
        self.progress = Progress(vcon=self.claim.vcon_uuid)
        if self.kept is not None:
            self.steps, self.progress = list(self.kept[0]), self.kept[1]

    def done_once(self) -> None:
        """The last step is done and must not be repeated."""
        self.steps[-1]["effect"] = "once"

    def keep(self) -> None:
        """Redis has all steps so far, and one of them must not be repeated."""
        self.kept = list(self.steps), self.progress

    def give_up(self, mark: Mark, why: str = LOST) -> str:
        """Note a storage whose outcome is unknown; returns its error."""
        error = uncertain(mark, why)
        self.marks = tuple(each for each in self.marks if each != mark)
        self.given_up = (*self.given_up, mark)
        return error

    def explain(self) -> None:
        """Make the unknown outcome of a link the error of this attempt, and of its step."""
        [mark, *_] = self.marks
        error = uncertain(mark, self.progress.error)
        self.progress = replace(self.progress, ended="failed", error=error)
        last = self.steps[-1] if self.steps else {}
        if mark.is_of(last.get("kind", "storage"), last.get("name", "")):
            last.update(outcome="failed", error=error)
        else:
            self.note(mark.kind, mark.name, "failed", 0, error)

    def record(self, status: RunStatus = "running") -> Record:
        """The checkpoint from which another worker could resume."""
        vcon, memory = self.progress.vcon, self.memory
        base = memory.base(vcon) if memory.unwritten else None
        return Record(self.journal(status), vcon, memory.unwritten, base)

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
                **self._beside(),
            }
        )

    def _beside(self) -> dict[str, Any]:
        """Members that most checkpoints do not have."""
        found: dict[str, Any] = {"recovered": True} if self.recovered else {}
        if self.marks or self.given_up:
            found["begun"] = [mark.told() for mark in (*self.marks, *self.given_up)]
        if self.continues:
            found["continues"] = self.continues
        if self.untraced is not None:
            found["untraced"] = asdict(self.untraced)
        if self.ledger is not None:
            found["law"] = self.ledger.told()
        return found


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


current_run: ContextVar[RunState | None] = ContextVar("current_run", default=None)
"""The run that this code belongs to: it fences a link's writes and labels its log lines."""


class Step(Protocol):
    """A link of a chain, a storage or a tracer; some have a `timeout`."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...


current_step: ContextVar[Step | None] = ContextVar("current_step", default=None)
"""The plugin that runs, or ran last: a blocked event loop is attributed to it."""


@dataclass(slots=True)
class PluginCall:
    """One call of a plugin; `abandoned`: it was given up, and its result is dropped."""

    abandoned: bool = False
    tasks: WeakSet[asyncio.Task[Any]] = field(default_factory=WeakSet)
    """Tasks that the plugin has started."""

    @property
    def is_left(self) -> bool:
        """Whether such a task still runs."""
        return len(self.tasks) > 0 and any(not each.done() for each in self.tasks)


current_call: ContextVar[PluginCall | None] = ContextVar("current_call", default=None)
"""The call that this code belongs to; an abandoned one must not write any more."""


def is_abandoned() -> bool:
    """Whether this code belongs to an abandoned call."""
    call = current_call.get()
    return call is not None and call.abandoned


def place_of(live: RunState) -> str:
    """The place of its element, as the delayed retries name it."""
    return f"{live.claim.list_name}\n{live.claim.element}"


def fresh_run(
    claim: Claim, chain: Chain, plugins: Plugins, worker: str, config_hash: str
) -> RunState:
    """The state of a claimed run before any step."""
    progress = Progress(vcon=claim.vcon_uuid)
    return RunState(claim, chain, plugins, worker, config_hash, datetime.now(UTC), progress)
