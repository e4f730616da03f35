"""Who changed what, and why."""

from collections.abc import Sequence

from core.errors import InvalidError
from core.operator_interfaces import Call
from pipeline.operator.parts import Parts
from schemas.operator.audit import AuditPage, AuditQuery
from schemas.operator.law.impersonal import names, objection

LONGEST_REASON = 500
"""Characters of a reason."""


def checked_reason(call: Call) -> str:
    """The reason of a change.

    Raises:
        InvalidError: there is none, it is too long, or looks as if it had a person's number or
            mail address: the audit keeps it for good.
    """
    reason = call.reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        msg = f"reason: say why, in 1 to {LONGEST_REASON} characters; the audit keeps it"
        raise InvalidError(msg, [msg])
    if problem := objection(reason):
        msg = f"reason: {problem}"
        raise InvalidError(msg, [msg])
    return reason


def check_unnamed(person: Sequence[tuple[str, str]], **texts: str | None) -> None:
    """Check that texts which are kept do not repeat the value by which a person is found.

    Raises:
        InvalidError: one does; the message has the texts' names only.
    """
    problems = [
        f"{name}: {problem}"
        for name, text in texts.items()
        if (problem := names(text or "", person))
    ]
    if problems:
        raise InvalidError("; ".join(problems), problems)


class Audit:
    """Reads the audit."""

    def __init__(self, parts: Parts) -> None:
        self._admin = parts.partner_admin

    async def events(self, query: AuditQuery, _call: Call) -> AuditPage:
        """A page of audit events, newest first."""
        found = await self._admin.audit_events(query.since, query.before, query.limit)
        return AuditPage(events=list(found))
