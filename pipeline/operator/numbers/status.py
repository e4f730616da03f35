"""`status`: whether everything moves, and if not, the likely cause and the command to run."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from core.errors import UnavailableError, UnknownNameError
from core.observability.redaction import KNOWN
from core.observability.storable_text import storable_text
from core.operator_interfaces import Call, Operation
from pipeline.config.lists import Lists, claimed_lists, lists_of
from pipeline.config.parser import Chain
from pipeline.destinations.states import State, states_of
from pipeline.minutes.backlog import Backlog, BacklogReader
from pipeline.minutes.histogram import Histogram, summed
from pipeline.minutes.reading import Hour, MinuteReader
from pipeline.operator.entries import Entries
from pipeline.operator.numbers.banner import Calls, Facts, causes_of, level_of
from pipeline.operator.numbers.flow import ChainHour, total_of, trend_of
from pipeline.operator.numbers.redis_facts import redis_status
from pipeline.operator.parts import Parts
from pipeline.operator.replicas import ReplicaReader
from pipeline.redis_client import keys
from pipeline.redis_client.client import CommandRefused
from pipeline.redis_client.errors import with_remedy
from pipeline.redis_client.list_states import RedisState, state_of
from schemas.operator.replicas import LONGEST_TEXT, Drain, Replicas, ReplicasQuery
from schemas.operator.status import (
    MOST_CHAINS,
    MOST_LISTS,
    ChainFlow,
    ErasureCounts,
    LawStatus,
    ListCount,
    PostgresStatus,
    RedisStatus,
    Series,
    Status,
    StatusQuery,
)

STATUS = Operation("status", "Whether everything moves, and why not", StatusQuery, Status)
CALLS_MINUTES = 10
"""Minutes in which the calls of links and storages are compared."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was read from Redis."""

    hour: Hour
    backlog: Backlog
    state: RedisState
    redis: RedisStatus
    replicas: Replicas
    paused: dict[str, Drain]
    history: int
    destinations: dict[str, State]
    erasures: ErasureCounts | None

    @property
    def now(self) -> datetime:
        """The time of Redis' clock."""
        return datetime.fromtimestamp(self.hour.minutes[-1].number * 60 + self.hour.seconds, UTC)


class _Chain(NamedTuple):
    flow: ChainFlow
    durations: Histogram
    window: float


class StatusReader:
    """Answers `status`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._redis = parts.redis
        self._minutes = MinuteReader(parts.redis)
        self._backlog = BacklogReader(parts.redis)
        self._replicas = ReplicaReader(parts.redis, parts.configuration)

    async def status(self, query: StatusQuery, _call: Call) -> Status:
        """The status. Without Redis it is red, and has nothing else.

        Raises:
            UnknownNameError: there is no such chain.
        """
        config = self._parts.configuration.config
        if query.chain is not None and query.chain not in config.chains:
            raise UnknownNameError("chain", query.chain, list(config.chains))
        try:
            seen = await self._look(lists_of(config))
        except UnavailableError as error:
            return _without_redis(storable_text(self._told_of(error), LONGEST_TEXT))
        every = [_chain_of(seen, chain) for chain in list(config.chains.values())[:MOST_CHAINS]]
        return self._told(query, seen, every)

    def _told_of(self, error: UnavailableError) -> str:
        url = self._parts.settings.redis_url
        return str(with_remedy(error, url.get_secret_value()) if url else error)

    async def _look(self, lists: Lists) -> _Seen:
        sorted_set = self._parts.settings.vcon_sorted_set_name
        hour, backlog, state, replicas, paused, history = await asyncio.gather(
            self._minutes.hour(),
            self._backlog.read(lists.ingress),
            state_of(self._redis, lists.all, sorted_set),
            self._registered(),
            self._paused(),
            self._history(),
        )
        redis, called, erasures = await asyncio.gather(
            redis_status(self._redis, state),
            states_of(self._redis, list(self._parts.configuration.config.destinations)),
            self._erasures(),
        )
        return _Seen(hour, backlog, state, redis, replicas, paused, history, called, erasures)

    async def _erasures(self) -> ErasureCounts | None:
        try:
            return await self._parts.erasures.counts()
        except UnavailableError:
            return None

    async def _registered(self) -> Replicas:
        try:
            return await self._replicas.replicas(ReplicasQuery(held=0))
        except CommandRefused:  # the register has another type; `state_of` tells that
            return Replicas(replicas=[])

    async def _paused(self) -> dict[str, Drain]:
        try:
            entries = await Entries(self._redis, keys.PAUSED).in_force()
        except CommandRefused:
            return {}
        return {name: entry.drain for name, entry in entries.items()}

    async def _history(self) -> int:
        try:
            return int(await self._redis.command("LLEN", keys.HISTORY))
        except CommandRefused:
            return 0

    def _facts(self, seen: _Seen, chains: Sequence[ChainFlow], dead: Sequence[ListCount]) -> Facts:
        replicas = seen.replicas.replicas
        postgres = PostgresStatus(
            error=next((each.postgres for each in replicas if each.postgres), ""),
            history_waiting=seen.history,
            history_limit=self._parts.settings.run_history_limit,
        )
        return Facts(
            now=seen.now,
            chains=chains,
            replicas=replicas,
            redis=seen.redis,
            postgres=postgres,
            calls=list(_calls(seen.hour)),
            dead_letters=dead,
            erasures=seen.erasures or ErasureCounts(),
            destinations=seen.destinations,
            disk_free_share=_disk_free_share(),
            hash_here=self._parts.configuration.config.hash,
        )

    def _withheld(self, state: RedisState) -> int:
        names = lists_of(self._parts.configuration.config).withheld
        return sum(state.lists[name].depth for name in names if name in state.lists)

    def _told(self, query: StatusQuery, seen: _Seen, every: Sequence[_Chain]) -> Status:
        chains = [each.flow for each in every]
        dead = dead_letters(lists_of(self._parts.configuration.config), seen.state)
        facts = self._facts(seen, chains, dead)
        causes = causes_of(facts)
        return Status(
            at=seen.now,
            level=level_of(causes),
            causes=causes,
            window_seconds=max((each.window for each in every), default=0.0),
            chains=[_shown(each, query) for each in chains if query.chain in (None, each.name)],
            total=total_of(chains, summed(each.durations for each in every)),
            slots=facts.slots,
            workers=sum(len(each.workers) for each in facts.replicas),
            replicas=list(facts.replicas),
            dead_letters=sum(each.count for each in dead),
            dead_letter_lists=dead[:MOST_LISTS],
            law=LawStatus(withheld=self._withheld(seen.state), erasures=seen.erasures),
            redis=facts.redis,
            postgres=facts.postgres,
            disk_free_share=facts.disk_free_share,
        )


def _chain_of(seen: _Seen, chain: Chain) -> _Chain:
    lists = claimed_lists(chain)
    hour = ChainHour(seen.hour, chain.name, lists, seen.backlog.of(lists))
    broken = _broken(seen, chain)
    enabled = chain.enabled and not broken
    flow, pause = hour.flow(), seen.paused.get(chain.name)
    oldest, at_least = hour.oldest()
    told = ChainFlow(
        **dict(flow),
        name=chain.name,
        enabled=enabled,
        broken=broken,
        trend=trend_of(flow, oldest, enabled=enabled, paused=pause is not None),
        paused_until=pause.until if pause else None,
        pause_reason=pause.reason if pause else "",
        oldest_seconds=oldest,
        oldest_at_least=at_least,
    )
    if told.trend in ("paused", "disabled"):
        told.empty_in_seconds = None
    return _Chain(told, hour.durations, hour.rates()[2])


def _broken(seen: _Seen, chain: Chain) -> str:
    """The first problem of a broken chain; a process without plugins has it from a replica."""
    told = (each.broken.get(chain.name[:LONGEST_TEXT]) for each in seen.replicas.replicas)
    here = (KNOWN.sentence(each) for each in chain.broken)
    return next(here, None) or next((each for each in told if each), "")


def _shown(chain: ChainFlow, query: StatusQuery) -> ChainFlow:
    return chain if query.series else chain.model_copy(update={"series": Series()})


def dead_letters(lists: Lists, state: RedisState) -> list[ListCount]:
    """The dead-letter lists that are not empty, the longest first."""
    counts = {name: state.lists[name].depth for name in lists.dead if name in state.lists}
    found = [ListCount(name=name, count=count) for name, count in counts.items() if count]
    return sorted(found, key=lambda each: -each.count)


def _calls(hour: Hour) -> Iterator[Calls]:
    """The calls of links and storages in the last minutes; storages' of all chains together."""
    ok: Counter[tuple[str, str, str]] = Counter()
    failed: Counter[tuple[str, str, str]] = Counter()
    for minute in hour.minutes[-CALLS_MINUTES:]:
        for kind in ("link", "storage"):
            for names, outcomes in minute.durations.get(kind, {}).items():
                place = kind, names[0] if kind == "link" else "", names[-1]
                for outcome, each in outcomes.items():
                    (failed if outcome == "failed" else ok)[place] += each.count
    for place in sorted(ok.keys() | failed.keys()):
        yield Calls(*place, ok[place], failed[place])


def _disk_free_share() -> float | None:
    try:
        usage = shutil.disk_usage(".")
    except OSError:
        return None
    return usage.free / usage.total if usage.total else None


def _without_redis(error: str) -> Status:
    now = datetime.now(UTC)
    redis = RedisStatus(reachable=False, error=error, has_json=False)
    causes = causes_of(Facts(now=now, redis=redis))
    return Status(at=now, level=level_of(causes), causes=causes, redis=redis)
