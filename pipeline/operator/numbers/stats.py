"""`stats`: a short answer for callers of the Plugboard; `status` is the long one."""

from core.observability.metrics import REQUESTS
from core.observability.recent_errors import RECENT_ERRORS
from core.operator_interfaces import Call, Operation
from pipeline.operator.numbers.status import StatusReader
from pipeline.operator.parts import Parts
from schemas.operator.stats import RecentError, ReplicaAge, RequestCount, Stats, StatsQuery
from schemas.operator.status import StatusQuery

STATS = Operation("stats", "Who is there since when, counts, last errors", StatsQuery, Stats)
MOST_COUNTS = 200
"""Pairs of action and status in an answer at most."""


class StatsReader:
    """Shortens the status, and adds what this process knows alone."""

    def __init__(self, parts: Parts) -> None:
        self._status = StatusReader(parts)

    async def stats(self, _query: StatsQuery, call: Call) -> Stats:
        """The replicas, the sums of all chains, and this process's requests and errors."""
        found = await self._status.status(StatusQuery(series=False), call)
        counts = [
            RequestCount(action=str(action), status=str(status), count=sum(times.counts))
            for (action, status), times in REQUESTS.durations.items()
        ]
        return Stats(
            at=found.at,
            replicas=[
                ReplicaAge(
                    id=each.id,
                    kind=each.kind,
                    version=each.version,
                    started=each.started,
                    age=each.age,
                )
                for each in found.replicas
            ],
            waiting=found.total.waiting,
            in_flight=found.total.in_flight,
            ended=found.total.ended,
            failed=found.total.failed,
            dead_letters=found.dead_letters,
            requests=sorted(counts, key=lambda each: -each.count)[:MOST_COUNTS],
            errors=[RecentError(**each._asdict()) for each in RECENT_ERRORS.newest_first],
        )
