"""Backup and restore as operations: the work is in `pipeline/operator/backup/`."""

from core.errors import InvalidError
from core.operator_interfaces import Call
from pipeline.operator.backup import operations
from pipeline.operator.parts import Parts
from schemas.operator.backup import (
    BackupParameters,
    BackupResult,
    RestoreParameters,
    RestoreResult,
)


class Backups:
    """Writes and restores backups; both leave an audit event."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        self._admin = parts.partner_admin
        self._backups = operations.Backups(parts.redis, settings, settings.vcon_sorted_set_name)

    async def backup(self, asked: BackupParameters, call: Call) -> BackupResult:
        """Write a backup; the service may work meanwhile."""
        result = await self._backups.backup(asked, call.progress)
        detail = {"sha256": result.content.sha256, "documents": result.documents}
        await self._admin.audit("backup", call.author, asked.file, detail)
        return result

    async def restore(self, asked: RestoreParameters, call: Call) -> RestoreResult:
        """Restore a backup, or only check that; a reason is needed, as for every change."""
        if not asked.dry_run and not call.reason.strip():
            msg = "reason: say why; the audit keeps it"
            raise InvalidError(msg, [msg])
        result = await self._backups.restore(asked, call.progress)
        if not asked.dry_run:
            detail = {"sha256": result.content.sha256, "reason": call.reason}
            await self._admin.audit("restore", call.author, asked.file, detail)
        return result
