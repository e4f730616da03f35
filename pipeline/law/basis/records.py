"""Bases that an installation has recorded itself, beside the vCons."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.law.basis.decision import DENIED, EXPIRED, MISSING, BasisError
from pipeline.law.basis.question import Question
from pipeline.law.basis.statements import Statement
from pipeline.law.basis.times import utc_seconds


@dataclass(frozen=True, slots=True)
class RecordedBasis:
    """A grant or a denial that was recorded beside the vCons, and applies to the one in question.

    Of the records with the same `subject` that apply to a purpose, only the newest counts.
    """

    id: int
    subject: str
    """What it was recorded for: a vCon's uuid, or the keyed hash of a person's address."""
    granted: bool
    at: datetime
    purpose: str | None = None
    """None: every purpose, which only a denial may name."""
    basis: str = "consent"
    expires: datetime | None = None
    party: int | None = None
    """The index of the party in this vCon that has the address; None: recorded for the vCon."""


def recorded(records: Sequence[RecordedBasis], question: Question) -> Iterator[Statement]:
    """The newest record of each subject about the purpose; of equally new ones the denials."""
    newest: dict[str, list[RecordedBasis]] = {}
    for record in records:
        if not _is_about(record, question):
            continue
        known = newest.get(record.subject)
        if not known or record.at > known[0].at:
            newest[record.subject] = [record]
        elif record.at == known[0].at:
            known.append(record)
    for same in newest.values():
        denials = [each for each in same if not each.granted]
        yield from (_statement(each, question) for each in denials or same)


def _is_about(record: RecordedBasis, question: Question) -> bool:
    if record.granted:
        return question.asks(record.purpose)
    return record.purpose is None or question.asks_denial(record.purpose)


def _statement(record: RecordedBasis, question: Question) -> Statement:
    place, at = f"recorded:{record.id}", utc_seconds(record.at)
    if not record.granted:
        return Statement(False, DENIED, place, at, record.party)
    return Statement(True, _fault(record, at, question), place, at, record.party, record.basis)


def _fault(record: RecordedBasis, at: float, question: Question) -> BasisError | None:
    if not question.accepts(record.basis) or question.is_ahead(at):
        return MISSING
    over = record.expires is not None and question.is_over(utc_seconds(record.expires))
    return EXPIRED if over else None
