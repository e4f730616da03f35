"""vCons and attachments with a basis, for the tests of the gate."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.law.basis.content_hash import ALGORITHMS
from pipeline.law.canonical_json import canonical

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
UUID = "0190163d-8694-739b-aea5-966c26f8ad91"

type Json = dict[str, Any]


def at(**ago: float) -> str:
    """A time before now, as a vCon has it."""
    return (NOW - timedelta(**ago)).isoformat().replace("+00:00", "Z")


def grant(purpose: str = "transcription", **members: Any) -> Json:
    """A grant; its members can be replaced, and left out by `...`."""
    told = {"purpose": purpose, "granted": True, "granted_at": at(days=1), **members}
    return {name: value for name, value in told.items() if value is not ...}


def denial(**members: Any) -> Json:
    """A denial."""
    return grant(**{"granted": False, **members})


def body(*grants: Json, **members: Any) -> Json:
    """The body of a basis; members are left out by `...`."""
    told = {"lawful_basis": "consent", "expiration": None, "purpose_grants": list(grants)}
    return {name: value for name, value in {**told, **members}.items() if value is not ...}


def basis(*grants: Json, attachment: Json | None = None, **members: Any) -> Json:
    """An attachment with these grants; `members` are of its body."""
    return {
        "purpose": "lawful_basis",
        "encoding": "json",
        "body": body(*grants, **members),
        **(attachment or {}),
    }


def as_text(attachment: Json) -> Json:
    """The same with its body as JSON text."""
    return {**attachment, "body": json.dumps(attachment["body"])}


def hashed(told: Json, algorithm: str = "sha-256", **members: Any) -> Json:
    """A body with its hash, of which members can be replaced; a wrong one if it can have none."""
    try:
        value = ALGORITHMS[algorithm](canonical(told)).hexdigest()
    except ValueError:
        value = "0" * 64
    about = {"algorithm": algorithm, "canonicalization": "jcs", "value": value, **members}
    return {**told, "content_hash": about}


def with_body(told: Json) -> Json:
    """An attachment with this body."""
    return {"purpose": "lawful_basis", "encoding": "json", "body": told}


def vcon(*attachments: Json, parties: int = 2, dialogs: int = 1, **members: Any) -> Json:
    """A vCon with these attachments."""
    return {
        "uuid": UUID,
        "created_at": at(days=2),
        "parties": [{"tel": f"+1201555010{index}"} for index in range(parties)],
        "dialog": [{"type": "text", "body": "Hi", "encoding": "none"} for _ in range(dialogs)],
        "analysis": [],
        "attachments": list(attachments),
        **members,
    }
