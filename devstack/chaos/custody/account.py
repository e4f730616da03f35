"""Judges that nothing which was settled before a loss was run again.

A run is settled once its end is committed in Postgres: then all its links and storages have worked
on the vCon, and nothing may do so again. `Account.loss` looks at Postgres and at all that the
plugins, the receiver of webhooks and the folder of files have counted, and in the end these counts
must be the same for every vCon that was settled.

A run that had begun and was not settled at the moment of a loss is queued again and repeated from
its last checkpoint, since what it did after that is recorded nowhere. So a step may work on a vCon
once, and once more for each loss that met the vCon begun and not settled. If Redis was down, twice
more: the step in work has failed by that, and its worker repeats it when Redis is back, before it
learns that the run is not its own any more. There is no other tolerance: vCons that were only
queued, and those that came in later, are run once.

The order of the looks makes the account exact. Where Redis is down, nothing can begin: both looks
come before it returns, so what is committed while it is down counts as settled. Where it is emptied
in one moment, what is settled is asked for before it, and what has begun after it. A run has begun
when its first link was called, which says so before it reads the vCon: one that has read it before
a loss, and goes on after the looks, was in work.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from devstack.chaos.custody.outside import Outside
from devstack.chaos.plugins.chaos_plugins.behaviour import CALLED
from devstack.chaos.system.ledger import Ledger

type Counts = Mapping[str, Counter[str]]
"""How often each step has worked on each vCon, by vCon and step."""
FAILING = "fail"
"""The subject of vCons whose attempts are repeated anyway."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What there was at a loss."""

    settled: Set[str]
    begun: Set[str]
    counts: Counts
    """Taken after `settled`; of those that are settled, they must not change any more."""
    written: Mapping[str, int] = field(default_factory=dict)
    repeats: int = 1
    """How often a step may be repeated for it."""


def repeated_after(loss: Loss, now: Loss) -> dict[str, str]:
    """The vCons that were settled at a loss and have been worked on since, with the steps."""
    found = {}
    for vcon in loss.settled:
        steps = now.counts.get(vcon, Counter()) - loss.counts.get(vcon, Counter())
        if loss.written.get(vcon) != now.written.get(vcon):
            steps["files"] += 1
        if steps:
            found[vcon] = f"settled, and then again in {', '.join(sorted(steps))}"
    return found


def repeated_in_all(losses: list[Loss], now: Loss, fed: Mapping[str, str]) -> dict[str, str]:
    """The vCons on which a step has worked more often than losses have met them in work."""
    found = {}
    for vcon, steps in now.counts.items():
        met = [loss for loss in losses if vcon in loss.begun and vcon not in loss.settled]
        allowed = 1 + sum(loss.repeats for loss in met)
        too_often = {step: times for step, times in steps.items() if times > allowed}
        if too_often and fed.get(vcon, FAILING) != FAILING:
            found[vcon] = f"lost {len(met)} times while in work, but ran {too_often}"
    return found


class Account:
    """The losses of one system."""

    def __init__(
        self, settled: Callable[[], Set[str]], ledger: Ledger, outside: Outside | None = None
    ) -> None:
        """`settled` asks Postgres for the vCons whose run has ended."""
        self._ask = settled
        self._ledger = ledger
        self._outside = outside
        self.losses: list[Loss] = []

    @asynccontextmanager
    async def loss(self, *, is_sudden: bool = False) -> AsyncIterator[None]:
        """What happens in this context loses data: Redis is down at its end, or `is_sudden`."""
        settled = await self._settled() if is_sudden else set[str]()
        before = self._look(settled)
        yield
        after = self._look(settled if is_sudden else await self._settled())
        counted = before if is_sudden else after
        seen = after.settled, after.begun, counted.counts, counted.written
        self.losses.append(Loss(*seen, repeats=1 if is_sudden else 2))

    async def repeated(self, fed: Mapping[str, str]) -> dict[str, str]:
        """The vCons that were run again without a reason, with what was seen."""
        now = self._look(await self._settled())
        found = repeated_in_all(self.losses, now, fed)
        for loss in self.losses:
            found |= repeated_after(loss, now)
        return found

    async def _settled(self) -> Set[str]:
        return await asyncio.to_thread(self._ask)

    def _look(self, settled: Set[str]) -> Loss:
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        lines = self._ledger.lines()
        begun = {line.vcon_uuid for line in lines if line.what in (CALLED, "began")}
        for line in lines:
            if line.what in ("began", "saved"):
                counts[line.vcon_uuid][f"{line.what} {line.name}"] += 1
        if self._outside is None:
            return Loss(settled, begun, counts)
        for vcon, times in self._outside.sent().items():
            counts[vcon]["webhook"] += times
        return Loss(settled, begun, counts, self._outside.written())
