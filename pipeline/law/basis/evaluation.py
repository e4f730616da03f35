"""The decision of the gate: may a step with this purpose have this vCon now?

    1. A hash that is wrong or cannot be checked denies.
    2. A denial of the purpose denies. With `conflicts: latest` a grant overrides the earlier
       denials of the same party.
    3. A grant without a fault allows; with `scope: each`, one for each party but bots.
    4. Otherwise the error is that of the faults found, by `_RANK`.

The vCon is the plain one, the payload of a signed or decrypted one. In one that is still signed or
encrypted nothing counts, since what it denies is not known. Nothing here has I/O, and no result is
kept: a decision holds for the moment it was asked for.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pipeline.config.law import BasisPolicy
from pipeline.law.basis.decision import (
    DENIED,
    EXPIRED,
    MISSING,
    PROOF,
    REFERENCE,
    Decision,
)
from pipeline.law.basis.question import asked
from pipeline.law.basis.records import RecordedBasis, recorded
from pipeline.law.basis.statements import HashError, Statement, stated
from pipeline.law.basis.times import utc_seconds
from pipeline.law.reading.forms import form_of

_RANK = {EXPIRED: 0, REFERENCE: 1, PROOF: 2, MISSING: 3}
"""Which of several faults is told: the one that the sender can mend most easily."""

_NOTHING = "attachments"
"""The place of a basis that is not there."""


def evaluate(
    document: Mapping[str, Any],
    purpose: str,
    now: datetime,
    policy: BasisPolicy,
    records: Sequence[RecordedBasis] = (),
    *,
    signed: bool = False,
) -> Decision:
    """Whether the vCon may be used for the purpose, and what decides it.

    `records`: those for this vCon and its parties. `signed`: its signature was verified.
    """
    if form_of(document) != "unsigned":
        return Decision(False, MISSING, "", policy.profile)
    question = asked(document, purpose, utc_seconds(now), policy, signed=signed)
    try:
        statements = [*stated(document, question), *recorded(records, question)]
    except HashError as error:
        return Decision(False, error.error, error.place, policy.profile)
    denial = _standing_denial(statements, policy)
    if denial is not None:
        return _refusal(denial, policy)
    if policy.scope == "each":
        return _for_each(document, statements, policy)
    return _granted(statements, policy, _NOTHING)


def _standing_denial(statements: list[Statement], policy: BasisPolicy) -> Statement | None:
    denials = [each for each in statements if not each.grants]
    if denials and policy.conflicts == "latest":
        latest = _latest_grants(statements)
        denials = [each for each in denials if not _is_overridden(each, latest)]
    return min(denials, key=_severity, default=None)


def _severity(denial: Statement) -> bool:
    return denial.error != DENIED


def _latest_grants(statements: list[Statement]) -> dict[int | None, float]:
    """When each party, and the whole conversation, last got a grant without a fault."""
    latest: dict[int | None, float] = {}
    for each in statements:
        if each.grants and each.error is None and each.at is not None:
            latest[each.party] = max(each.at, latest.get(each.party, each.at))
    return latest


def _is_overridden(denial: Statement, latest: Mapping[int | None, float]) -> bool:
    granted = latest.get(denial.party)
    return granted is not None and denial.at is not None and granted > denial.at


def _for_each(
    document: Mapping[str, Any], statements: list[Statement], policy: BasisPolicy
) -> Decision:
    """The decision where each party that is no bot needs a grant, its own or one for all."""
    by_party: dict[int | None, list[Statement]] = {}
    for each in statements:
        if each.grants:
            by_party.setdefault(each.party, []).append(each)
    for_all = by_party.get(None, [])
    parties = document.get("parties")
    for index, party in enumerate(parties if isinstance(parties, list) else ()):
        if not (isinstance(party, dict) and party.get("type") == "bot"):
            found = _granted([*by_party.get(index, ()), *for_all], policy, f"parties[{index}]")
            if not found.allowed:
                return found
    return _granted(statements, policy, _NOTHING)


def _granted(statements: list[Statement], policy: BasisPolicy, nothing: str) -> Decision:
    """The decision by the grants among the statements."""
    grants = [each for each in statements if each.grants]
    good = next((each for each in grants if each.error is None), None)
    if good is not None:
        return Decision(True, None, good.place, policy.profile, good.basis)
    if not grants:
        return Decision(False, MISSING, nothing, policy.profile)
    return _refusal(min(grants, key=_rank), policy)


def _rank(grant: Statement) -> int:
    return _RANK.get(grant.error or MISSING, len(_RANK))


def _refusal(statement: Statement, policy: BasisPolicy) -> Decision:
    return Decision(False, statement.error, statement.place, policy.profile)
