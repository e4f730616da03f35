"""What partners' keys are used for, until it is written down."""

from datetime import UTC, date, datetime
from uuid import UUID

from core.errors import PatchcordError
from core.ingress_ledger import IngressLedger, Used
from core.own_thread import in_own_thread


class UsageMeter:
    """Counts in memory, and writes down now and then: a crash may lose a few seconds of counts."""

    def __init__(self, ledger: IngressLedger) -> None:
        """Nothing is counted yet. `ledger` is called in threads."""
        self._ledger = ledger
        self._used: dict[date, dict[UUID, Used]] = {}

    def accepted(self, key_id: UUID, size: int) -> None:
        """One vCon of so many bytes was taken in."""
        used = self._now(key_id)
        used.accepted += 1
        used.bytes += size

    def refused(self, key_id: UUID, reason: str) -> None:
        """One was turned away."""
        used = self._now(key_id)
        used.refused[reason] = used.refused.get(reason, 0) + 1

    async def write(self) -> None:
        """Write down what was counted, each day on its own; what is not written stays here.

        Raises:
            UnavailableError: when Postgres cannot be reached.
        """
        while self._used:
            day, used = self._used.popitem()
            try:
                await in_own_thread(self._ledger.add_usage, day, used)
            except PatchcordError:
                for key_id, each in used.items():
                    self._put_back(day, key_id, each)
                raise

    def _now(self, key_id: UUID) -> Used:
        now = datetime.now(UTC)
        used = self._used.setdefault(now.date(), {}).setdefault(key_id, Used())
        used.last = now
        return used

    def _put_back(self, day: date, key_id: UUID, earlier: Used) -> None:
        used = self._used.setdefault(day, {}).setdefault(key_id, earlier)
        if used is earlier:
            return
        used.accepted += earlier.accepted
        used.bytes += earlier.bytes
        for reason, count in earlier.refused.items():
            used.refused[reason] = used.refused.get(reason, 0) + count
