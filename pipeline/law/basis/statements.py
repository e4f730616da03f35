"""The grants and denials of a purpose that a vCon's attachments hold, each with what is wrong.

A grant counts only if nothing is wrong with it or with its attachment. A denial counts in any
case. So a faulty attachment can deny, and never grant.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.law.basis import bodies, content_hash
from pipeline.law.basis.bodies import BasisAttachment, with_basis
from pipeline.law.basis.decision import DENIED, EXPIRED, MISSING, PROOF, REFERENCE, BasisError
from pipeline.law.basis.profiles import PROFILES
from pipeline.law.basis.profiles.profile import Profile
from pipeline.law.basis.question import Question
from pipeline.law.basis.references import are_indexes, is_index, proofs_hold
from pipeline.law.basis.times import duration, seconds_since_1970

type Body = Mapping[str, Any]


class Statement(NamedTuple):
    """One grant or denial of the purpose."""

    grants: bool
    error: BasisError | None
    """Of a grant: why it does not count. Of a denial: the error that it ends in."""
    place: str
    at: float | None = None
    """When it was given, in seconds since 1970; None: not known."""
    party: int | None = None
    """The party that it is about; None: the whole conversation."""
    basis: str = ""


class HashError(Exception):
    """A basis has a hash that is wrong or cannot be checked: every purpose is denied."""

    def __init__(self, error: BasisError, place: str) -> None:
        super().__init__(error)
        self.error = error
        self.place = place


def stated(document: Mapping[str, Any], question: Question) -> Iterator[Statement]:
    """The grants and denials of the purpose in a plain vCon, in the order of the document.

    Raises:
        HashError: see there; whichever purpose the basis is for.
    """
    left = bodies.MAX_CHARACTERS
    for found in with_basis(document):
        left -= bodies.size_of(found.members)
        if left < 0:
            yield Statement(False, DENIED, f"{found.place}.body")
            return
        try:
            body = found.body()
        except bodies.AmbiguousError:
            yield Statement(False, MISSING, f"{found.place}.body")
            continue
        if body is not None:
            yield from _in_body(found, body, question)


def _in_body(found: BasisAttachment, body: Body, question: Question) -> Iterator[Statement]:
    if wrong := content_hash.hash_error(body):
        raise HashError(wrong, f"{found.place}.body.{content_hash.MEMBER}")
    for profile in PROFILES.values():  # a list under the name of another version can deny
        listed = body.get(profile.grants)
        for index, grant in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(grant, dict) and question.is_about(grant):
                place = f"{found.place}.body.{profile.grants}[{index}]"
                if statement := _statement(found, body, profile, grant, place, question):
                    yield statement


def _statement(
    found: BasisAttachment,
    body: Body,
    profile: Profile,
    grant: Body,
    place: str,
    question: Question,
) -> Statement | None:
    """What one grant or denial of the purpose says; None: nothing."""
    if grant.get("granted") is not True:
        error = _denial(grant)
        return _denied(found, grant, place, error, question) if error else None
    if question.policy.conditions == "deny" and grant.get("conditions"):
        return _denied(found, grant, f"{place}.conditions", DENIED, question)
    basis = profile.basis or body.get("lawful_basis")
    given = seconds_since_1970(grant.get("granted_at"))
    fault: BasisError | None = MISSING
    if found.plainly_named and found.profile is profile is question.profile:
        fault = _fault_of_basis(found, body, basis, question)
        fault = fault or _fault_in_time(body, given, question)
    return Statement(True, fault, place, given, _party(found, question), str(basis))


def _party(found: BasisAttachment, question: Question) -> int | None:
    """The party that an attachment is about; None: none in particular, or an absent one."""
    party = found.members.get("party")
    return party if question.parties and is_index(party, question.parties) else None


_NO = frozenset({"false", "no", "0", "0.0", "denied", "revoked", "withdrawn"})


def _denial(grant: Body) -> BasisError | None:
    """The error of a grant that does not say true; None: it does not deny either.

    Some writers deny by the text "false" or by a `status`. By the draft these say nothing, and a
    vCon with nothing else has no basis. Beside a grant they stand in its way, too.
    """
    granted = grant.get("granted")
    if granted is False:
        return DENIED
    told = grant.get("status") if granted is None else granted
    plain = isinstance(told, str | int | float)
    return MISSING if plain and str(told).strip().lower() in _NO else None


def _denied(
    found: BasisAttachment, grant: Body, place: str, error: BasisError, question: Question
) -> Statement:
    """A denial. If its party does not exist, it has no time: no later grant is of the same."""
    told = found.members.get("party")
    if told is not None and not is_index(told, question.parties):
        return Statement(False, error, place)
    at, party = seconds_since_1970(grant.get("granted_at")), _party(found, question)
    return Statement(False, error, place, at, party)


def _fault_of_basis(
    found: BasisAttachment, body: Body, basis: object, question: Question
) -> BasisError | None:
    if not (question.grants_count and question.accepts(basis)):
        return MISSING
    party, dialog = found.members.get("party"), found.members.get("dialog")
    if party is not None and not is_index(party, question.parties):
        return REFERENCE
    if not are_indexes(dialog, question.dialogs):
        return REFERENCE
    required = question.policy.proofs == "require"
    return None if proofs_hold(body, question.dialogs, required=required) else PROOF


def _fault_in_time(body: Body, given: float | None, question: Question) -> BasisError | None:
    if given is None or question.is_ahead(given) or "expiration" not in body:
        return MISSING
    expiration = body["expiration"]
    if expiration is not None:
        end = seconds_since_1970(expiration)
        if end is None:
            return MISSING
        if question.is_over(end):
            return EXPIRED
    interval = body.get("status_interval")
    if interval is None:
        return None
    seconds = duration(interval)
    return EXPIRED if seconds is None or question.is_over(given + seconds) else None
