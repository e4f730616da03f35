"""Judges the final state of every vCon against the delivery guarantee.

An accepted vCon is in every storage of its chain and once in egress, or halted by a link, or in a
dead-letter list with a cause, or still queued. Anything else is a loss, and so is a list entry
without its document.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Literal

type Ending = Literal["stored", "halted", "dead", "queued", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The final state by vCon uuid.

    `fed` has each vCon's subject; `saved` its storages; `dead` and `refused` the causes in the
    dead letters of the list and of the storages.
    """

    fed: Mapping[str, str]
    storages: Set[str]
    saved: Mapping[str, Set[str]] = field(default_factory=dict)
    bare: Set[str] = frozenset()
    """Saved without what the links before had done to it."""
    egress: Counter[str] = field(default_factory=Counter)
    dead: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    halted: Set[str] = frozenset()
    queued: Set[str] = frozenset()
    documents: Set[str] = frozenset()
    """Those that Redis still has."""
    recorded: Set[str] = frozenset()
    """Those with a finished run in Postgres."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts per ending; `lost` and `doubled` have the problem of each vCon."""

    endings: Counter[Ending]
    lost: Mapping[str, str]
    doubled: Mapping[str, str]
    unrecorded: Set[str]
    """Ended without a finished run in Postgres."""

    @property
    def fed(self) -> int:
        """The number of vCons fed."""
        return self.endings.total()

    @property
    def good(self) -> bool:
        """Whether the guarantee holds."""
        return not (self.lost or self.doubled or self.unrecorded)


def judge(evidence: Evidence) -> Verdict:
    """Judge the evidence."""
    endings = {vcon: _ending(vcon, evidence) for vcon in evidence.fed}
    objections = {
        vcon: next(_objections(vcon, ending, evidence), "") for vcon, ending in endings.items()
    }
    lost = {vcon: why for vcon, why in objections.items() if why}
    ended = {vcon for vcon, ending in endings.items() if ending not in ("queued", "lost")}
    return Verdict(
        endings=Counter("lost" if vcon in lost else each for vcon, each in endings.items()),
        lost=lost,
        doubled={vcon: why for vcon in evidence.fed if (why := _doubling(vcon, evidence))},
        unrecorded=ended - evidence.recorded,
    )


def _ending(vcon: str, evidence: Evidence) -> Ending:
    if vcon in evidence.queued:
        return "queued"
    if vcon in evidence.dead or vcon in evidence.refused:
        return "dead"
    if vcon in evidence.egress:
        return "stored"
    return "halted" if vcon in evidence.halted else "lost"


def _objections(vcon: str, ending: Ending, evidence: Evidence) -> Iterator[str]:
    """The violations of the guarantee by one vCon."""
    if ending == "lost":
        yield "it is nowhere"
    if ending in ("queued", "dead", "stored") and vcon not in evidence.documents:
        yield f"{ending}, but its document is gone"
    if ending == "stored" and (missing := evidence.storages - evidence.saved.get(vcon, set())):
        yield f"in egress, but not in {', '.join(sorted(missing))}"
    if ending == "stored" and vcon in evidence.bare:
        yield "stored without what its links did"
    if ending == "dead" and not {**evidence.refused, **evidence.dead}[vcon]:
        yield "dead-lettered without a reason"
    if ending == "halted" and evidence.fed[vcon] != "halt":
        yield "halted, but no link said so"


def _doubling(vcon: str, evidence: Evidence) -> str:
    """The endings that one vCon has more than once, or None."""
    if evidence.egress[vcon] > 1:
        return f"{evidence.egress[vcon]} times in egress"
    ways = {
        "egress": vcon in evidence.egress,
        "dead letters": vcon in evidence.dead,
        "a storage's dead letters": vcon in evidence.refused,
        "halted": vcon in evidence.halted,
    }
    found = [way for way, true in ways.items() if true]
    return " and ".join(found) if len(found) > 1 else ""
