"""Backup and restore as operations: the work is in `pipeline/operator/backup/`."""

from collections.abc import Sequence

from core.concurrency.thread_pool import in_own_thread
from core.operator_interfaces import Call
from pipeline.erasure.carried_over import erased_in
from pipeline.erasure.erasures import MOST_VCONS, Request
from pipeline.operator.audit import checked_reason
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
        self._erasures = parts.erasures
        self._backups = operations.Backups(parts.redis, settings, settings.vcon_sorted_set_name)

    async def backup(self, asked: BackupParameters, call: Call) -> BackupResult:
        """Write a backup; the service may work meanwhile."""
        result = await self._backups.backup(asked, call.progress)
        detail = {"sha256": result.content.sha256, "documents": result.documents}
        await self._admin.audit("backup", call.author, asked.file, detail)
        return result

    async def restore(self, asked: RestoreParameters, call: Call) -> RestoreResult:
        """Restore a backup, or only check that; a reason is needed, as for every change."""
        reason = "" if asked.dry_run else checked_reason(call)
        named = await in_own_thread(erased_in, asked.erased) if asked.erased else []
        result = await self._backups.restore(asked, call.progress)
        result.erased = len(named)
        if named:
            result.steps.append(f"erase {len(named)} vCons again that were erased before")
        if not asked.dry_run:
            await self._erase_again(named, call)
            detail = {"sha256": result.content.sha256, "reason": reason}
            await self._admin.audit("restore", call.author, asked.file, detail)
        return result

    async def _erase_again(self, vcon_uuids: Sequence[str], call: Call) -> None:
        """Refuse their uuids before a service starts; it goes on with what cannot be done now."""
        for at in range(0, len(vcon_uuids), MOST_VCONS):
            some = vcon_uuids[at : at + MOST_VCONS]
            request = Request(some, call.author.actor, ref="restore", subject="party")
            erasure = await self._erasures.request(request)
            erasure = await self._erasures.advance(erasure.id)
            call.progress(f"erasure {erasure.id}: {len(some)} vCons, {erasure.state}")
