"""The plan of a run: which step comes next. Pure functions on values.

A run is its links in order, then all storages side by side, then the settlement. `Progress` says
how far it is; `next_move` returns the next step; each outcome gives a new `Progress`. Nothing here
waits or logs.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

from core.observability.redaction import error_text
from core.observability.storable_text import storable_text
from pipeline.config.parser import Chain
from schemas.run import StepOutcome

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)

Ending = Literal["done", "halted", "partial", "failed", "cancelled", "withheld"]
Stop = Ending | Literal["parked"]
"""How an attempt stops: with the end of the run, or because a step of it has to wait."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    vcon: str
    links_done: int = 0
    saved: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    ended: Ending | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RunLink:
    """Run the link at this index."""

    index: int


@dataclass(frozen=True, slots=True)
class Save:
    """Write the vCon to these storages, side by side."""

    storages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settle:
    """End the run with this ending."""

    ending: Ending


type Move = RunLink | Save | Settle


def next_move(chain: Chain, progress: Progress) -> Move:
    """The next step."""
    if progress.ended is not None:
        return Settle(progress.ended)
    if progress.links_done < len(chain.links):
        return RunLink(progress.links_done)
    tried = progress.saved | progress.refused
    left = tuple(storage.name for storage in chain.storages if storage.name not in tried)
    if left:
        return Save(left)
    return Settle("partial" if progress.refused else "done")


@dataclass(frozen=True, slots=True)
class NotAUuid:
    """A link's return value that is neither text nor falsy, as a shortened text."""

    shown: str


def returned_value(returned: object) -> str | NotAUuid | None:
    """A link's return value as a plain value, so that later code runs no method of its class.

    Raises what the value's own methods raise; that is the link's failure.
    """
    if not returned:
        return None
    if isinstance(returned, NotAUuid):
        return returned
    if isinstance(returned, str):
        return str.__str__(returned)
    return NotAUuid(_shown(returned))


def _shown(returned: object) -> str:
    """The beginning of a foreign value, redacted, since it may hold a secret."""
    return storable_text(error_text(repr(returned))[:80])


def after_link(progress: Progress, returned: object) -> Progress:
    """A link has returned: a uuid continues with that vCon, a falsy value halts the run.

    Anything else fails the attempt.
    """
    value, done = returned_value(returned), progress.links_done + 1
    if value is None:
        return replace(progress, links_done=done, ended="halted")
    if isinstance(value, NotAUuid) or not _UUID.fullmatch(value):
        shown = value.shown if isinstance(value, NotAUuid) else _shown(value)
        return after_failure(
            progress, f"a link returns a vCon uuid or None, but this returned {shown}"
        )
    # not by `replace`, which takes five times as long, for each link
    return Progress(value, done, progress.saved, progress.refused, progress.ended, progress.error)


def after_failure(progress: Progress, reason: str) -> Progress:
    """The attempt has failed; its current link does not count as done."""
    return replace(progress, ended="failed", error=reason)


def after_skip(progress: Progress, reason: str) -> Progress:
    """The run ends before its first link, as halted: no link, no storage, no egress."""
    return replace(progress, ended="halted", error=reason)


def after_cancellation(progress: Progress) -> Progress:
    """The run is cancelled: no further link, no storage, no egress."""
    return replace(progress, ended="cancelled")


def after_refusal(progress: Progress, reason: str) -> Progress:
    """The law does not allow the next step: the run is withheld before it."""
    return replace(progress, ended="withheld", error=reason)


def after_save(progress: Progress, saved: frozenset[str], refused: frozenset[str]) -> Progress:
    """Storages have accepted or refused the vCon."""
    return replace(progress, saved=progress.saved | saved, refused=progress.refused | refused)


def outcome(progress: Progress) -> StepOutcome:
    """The outcome of the last link."""
    match progress.ended:
        case "halted":
            return "halted"
        case "failed":
            return "failed"
        case _:
            return "ok"
