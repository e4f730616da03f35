"""`ledger verify`: names the first row of the ledger that was changed, removed or inserted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from core.db.law.checking import Checkpoint, Event, LedgerRows

MOST_FINDINGS = 20
"""Findings of one report; the first of them is the earliest."""
_ROWS = ("version", "delivery", "basis")

type StatementCheck = Callable[[Checkpoint], str | None]
"""What is wrong with the signature of a checkpoint; None if nothing is."""


@dataclass(slots=True)
class LedgerReport:
    """What a check has found, the earliest first; the ledger is intact if that is nothing."""

    events: int = 0
    head: str = ""
    deliveries: int = 0
    under_way: int = 0
    versions: int = 0
    checkpoints: int = 0
    signed: int = 0
    findings: list[str] = field(default_factory=list)


def verify(
    rows: LedgerRows,
    kept: tuple[int, str] | None = None,
    statement_fault: StatementCheck = lambda _: None,
) -> LedgerReport:
    """Check the whole ledger. It blocks: call it in a thread.

    `kept`: number and hash of a checkpoint that was kept elsewhere.

    Raises:
        UnavailableError: Postgres cannot be reached or is not migrated.
    """
    report = LedgerReport()
    report.deliveries, report.under_way, report.versions = rows.counts()
    points = rows.checkpoints()
    report.checkpoints = len(points)
    report.signed = sum(each.statement is not None for each in points)
    known: dict[int, str] = {kept[0]: ""} if kept else {}
    found = [*islice(_chain_faults(rows.events(), report, known), MOST_FINDINGS)]
    found += _checkpoint_faults(points, report, statement_fault)
    if kept is not None and known[kept[0]] != kept[1]:
        found.append(_cut(kept[0], report, known[kept[0]]))
    found += map(_without_event, rows.without_event(MOST_FINDINGS))
    report.findings = found[:MOST_FINDINGS]
    return report


def _chain_faults(
    events: Iterator[Event], report: LedgerReport, known: dict[int, str]
) -> Iterator[str]:
    last = 0
    for event in events:
        report.events += 1
        if event.seq in known:
            known[event.seq] = event.hash or ""
        if fault := _break(last, report.head, event):
            yield fault
        last, report.head = event.seq, event.hash or ""
        if fault := _fault_of(event):
            yield fault


def _fault_of(event: Event) -> str | None:
    """What is wrong with an event by itself, or with the row that it is about."""
    computed, about = event.computed(), event.about or ""
    if computed is None or computed != event.hash:
        return f"event {event.seq} was changed"
    kind = about.partition(":")[0]
    if kind == "erasure" and event.found is None:
        return f"the tombstone of vCon {event.vcon_uuid} was removed: event {event.seq} is about it"
    if kind in _ROWS and event.found != event.digest:
        what = "removed" if event.found is None else "changed"
        return f"{_named(about)} was {what}: event {event.seq} is about it"
    if not event.is_of_its_party:
        return f"{_named(about)} is no longer about its person: event {event.seq} is about it"
    return None


def _checkpoint_faults(
    points: list[Checkpoint], report: LedgerReport, statement_fault: StatementCheck
) -> Iterator[str]:
    for each in points:
        if each.found != each.hash:
            yield _cut(each.seq, report, each.found or "")
        elif fault := statement_fault(each):
            yield f"the checkpoint at event {each.seq} {fault}"


def _cut(seq: int, report: LedgerReport, found: str) -> str:
    if found:
        return f"the checkpoint at event {seq} does not match: that event or one before was changed"
    return (
        f"the checkpoint at event {seq} has no event: the tail after event {report.events} was cut"
    )


def _break(last: int, head: str, event: Event) -> str | None:
    """What is wrong between the event before, with this number and hash, and an event."""
    if event.seq < 1:
        return f"event {event.seq} was inserted"
    if event.seq == last + 2:
        return f"event {last + 1} was removed"
    if event.seq > last + 1:
        return f"events {last + 1} to {event.seq - 1} were removed"
    if event.prior == head:
        return None
    if last == 0:
        return "event 1 was changed or inserted: it does not begin the chain"
    return f"event {last} was changed or inserted: event {event.seq} does not follow it"


def _without_event(about: str) -> str:
    return f"{_named(about)} was inserted, or its event was cut: no event is about it"


def _named(about: str) -> str:
    return about.replace(":", " ")
