"""The statement about an erasure that has ended: what was erased where, and where it was not. Pure.

It has uuids, names of destinations, states and times, no data about a person: neither the value by
which the vCons were found nor its hash. A destination is never said to be free of a vCon because
the service asked for that: `verified` means that it was read again and had nothing. Of a vCon of
which nothing was ever known it says that, and not that it was deleted.

An answer that comes after the end makes another version, which names those before by their digests.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from schemas.law.erasures import EXCEPTIONS, Erasure, ErasureTarget, TargetState

FORM: Final = "patchcord-erasure-1"
type Said = TargetState | Literal["nothing_known"]
MEANINGS: Final[Mapping[Said, str]] = {
    "pending": "not tried yet",
    "deleted": "deleted, or not kept there; it cannot be read again",
    "verified": "deleted, then read again: it was not there",
    "told": "told that it must be erased; it has not answered that it was",
    "acknowledged": "told, and has answered that it was erased",
    "cannot": "it cannot be erased there by this service",
    "unreachable": "it is no longer configured, so it could not be asked",
    "nothing_known": "nothing was known of the vCon, and nothing was found here; it is refused now",
}
"""What each state of a destination means, as the statement says it."""
NOT_REACHED: Final = {
    "backups": "backups from before the erasure have the vCons until they are deleted; a restore"
    " removes what was erased",
    "database_files": "files and logs of the databases have deleted rows until they are reused",
    "readers": "what callers, readers and operators had read before is with them",
}
"""What no destination stands for."""
MORE: Final = "the person has more vCons than one erasure takes; another one is needed for the rest"


def statement_of(erasure: Erasure, ended_at: datetime) -> dict[str, Any]:
    """The content of the statement of an erasure that ends now.

    `state` follows from the destinations: an exception is one that may still have a copy.
    """
    unknown = _unknown(erasure)
    places = [_told(each, unknown) for each in _ordered(erasure)]
    exceptions = [each for each in places if each["state"] in EXCEPTIONS]
    count = Counter(str(each["state"]) for each in places)
    earlier = [*erasure.progress.earlier, *([erasure.statement] if erasure.statement else [])]
    return {
        "form": FORM,
        "erasure": erasure.id,
        "version": len(earlier) + 1,
        "earlier": [hashlib.sha256(each.encode()).hexdigest() for each in earlier],
        "subject": erasure.subject,
        "state": "complete_with_exceptions" if exceptions else "complete",
        "requested_at": _time(erasure.requested_at),
        "ended_at": _time(ended_at),
        "suppressed": erasure.suppress,
        "vcons": sorted(erasure.vcons),
        "nothing_known": sorted(unknown),
        "destinations": places,
        "exceptions": exceptions,
        "count": dict(sorted(count.items())),
        "meaning": {state: text for state, text in MEANINGS.items() if state in count},
        "not_reached": NOT_REACHED | _besides(erasure),
    }


def history_note(begins: str) -> str:
    """What is said where vCons are older than the history of runs; "": that is empty."""
    where = f"begins {begins}" if begins else "is empty"
    return (
        "what chains without custody gave away is known from the history of runs, which"
        f" {where}: of earlier runs it is not known"
    )


def _besides(erasure: Erasure) -> dict[str, str]:
    begins = erasure.progress.history_from
    history = {} if begins is None else {"history": history_note(begins)}
    return history | ({"more": MORE} if erasure.progress.more else {})


def _unknown(erasure: Erasure) -> set[str]:
    """The vCons of which nothing was known, and no storage had a copy after all."""
    found = {each.vcon_uuid for each in erasure.targets if each.detail.get("found")}
    return set(erasure.progress.unknown) - found


def _ordered(erasure: Erasure) -> list[ErasureTarget]:
    return sorted(erasure.targets, key=lambda each: (each.vcon_uuid, each.kind, each.name))


def _told(target: ErasureTarget, unknown: Collection[str]) -> dict[str, Any]:
    is_empty = target.vcon_uuid in unknown and target.state in ("verified", "deleted")
    told = {
        "vcon": target.vcon_uuid,
        "kind": target.kind,
        "name": target.name,
        "state": "nothing_known" if is_empty else target.state,
        "at": _time(target.changed_at),
        "attempts": target.attempts,
    }
    return told | ({"error": target.error} if target.error else {})


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
