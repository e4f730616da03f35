"""The statement about an erasure that has ended: what was erased where, and where it was not. Pure.

It has uuids, names of destinations, states and times, no data about a person: neither the value by
which the vCons were found nor its hash. A destination is never said to be free of a vCon because
the service asked for that: `verified` means that it was read again and had nothing.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from schemas.law.erasures import EXCEPTIONS, Erasure, ErasureTarget, TargetState

FORM: Final = "patchcord-erasure-1"
MEANINGS: Final[Mapping[TargetState, str]] = {
    "pending": "not tried yet",
    "deleted": "deleted, or not kept there; it cannot be read again",
    "verified": "deleted, then read again: it was not there",
    "told": "told that it must be erased; it has not answered that it was",
    "acknowledged": "told, and has answered that it was erased",
    "cannot": "it cannot be erased there by this service",
    "unreachable": "it is no longer configured, so it could not be asked",
}
"""What each state of a destination means, as the statement says it."""
NOT_REACHED: Final = {
    "backups": "backups from before the erasure have the vCons until they are deleted; a restore"
    " removes what was erased",
    "database_files": "files and logs of the databases have deleted rows until they are reused",
    "readers": "what callers, readers and operators had read before is with them",
}
"""What no destination stands for."""


def statement_of(erasure: Erasure, ended_at: datetime) -> dict[str, Any]:
    """The content of the statement of an erasure that ends now.

    `state` follows from the destinations: an exception is one that may still have a copy.
    """
    exceptions = [_told(each) for each in _ordered(erasure) if each.state in EXCEPTIONS]
    states = {each.state for each in erasure.targets}
    return {
        "form": FORM,
        "erasure": erasure.id,
        "subject": erasure.subject,
        "state": "complete_with_exceptions" if exceptions else "complete",
        "requested_at": _time(erasure.requested_at),
        "ended_at": _time(ended_at),
        "suppressed": erasure.suppress,
        "vcons": sorted(erasure.vcons),
        "destinations": [_told(each) for each in _ordered(erasure)],
        "exceptions": exceptions,
        "count": dict(sorted(Counter(each.state for each in erasure.targets).items())),
        "meaning": {state: text for state, text in MEANINGS.items() if state in states},
        "not_reached": dict(NOT_REACHED),
    }


def _ordered(erasure: Erasure) -> list[ErasureTarget]:
    return sorted(erasure.targets, key=lambda each: (each.vcon_uuid, each.kind, each.name))


def _told(target: ErasureTarget) -> dict[str, Any]:
    told = {
        "vcon": target.vcon_uuid,
        "kind": target.kind,
        "name": target.name,
        "state": target.state,
        "at": _time(target.changed_at),
        "attempts": target.attempts,
    }
    return told | ({"error": target.error} if target.error else {})


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
