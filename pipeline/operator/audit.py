"""Who changed what, and why."""

from core.operator_interfaces import Call
from pipeline.operator.parts import Parts
from schemas.operator.audit import AuditPage, AuditQuery


class Audit:
    """Reads the audit."""

    def __init__(self, parts: Parts) -> None:
        self._admin = parts.partner_admin

    async def events(self, query: AuditQuery, _call: Call) -> AuditPage:
        """A page of audit events, newest first."""
        found = await self._admin.audit_events(query.since, query.before, query.limit)
        return AuditPage(events=list(found))
