"""Who changed what, and why."""

from core.errors import InvalidError
from core.operator_interfaces import Call
from pipeline.operator.parts import Parts
from schemas.operator.audit import AuditPage, AuditQuery

LONGEST_REASON = 500
"""Characters of a reason."""


def checked_reason(call: Call) -> str:
    """The reason of a change.

    Raises:
        InvalidError: there is none, or it is too long.
    """
    reason = call.reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        msg = f"reason: say why, in 1 to {LONGEST_REASON} characters; the audit keeps it"
        raise InvalidError(msg, [msg])
    return reason


class Audit:
    """Reads the audit."""

    def __init__(self, parts: Parts) -> None:
        self._admin = parts.partner_admin

    async def events(self, query: AuditQuery, _call: Call) -> AuditPage:
        """A page of audit events, newest first."""
        found = await self._admin.audit_events(query.since, query.before, query.limit)
        return AuditPage(events=list(found))
