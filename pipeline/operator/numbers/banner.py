"""The causes of what is not well: a table of rules over facts, without I/O.

A rule gets all facts and yields causes. Each names the likely reason, not the symptom alone, and
the command that goes on from there. A rule that explains another one stands before it: causes of
one level are in the order of `RULES`.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from core.observability.logs import one_line
from core.observability.storable_text import storable_text
from pipeline.destinations.states import State
from schemas.operator.replicas import Replica
from schemas.operator.status import (
    MOST_CAUSES,
    Cause,
    ChainFlow,
    ErasureCounts,
    Level,
    ListCount,
    PostgresStatus,
    RedisStatus,
)

COMMAND, PAGE = "python entrypoint.py", "docs/operations.md"
SILENT_SECONDS = 6.0
"""A replica signs every 2 s; after three times that it is silent."""
MEMORY_HIGH, MEMORY_FULL = 0.8, 0.95
DISK_LOW, DISK_FULL = 0.1, 0.02
HISTORY_HIGH, HISTORY_FULL = 0.05, 0.5
"""Shares of the runs that may wait for Postgres."""
TOKEN_SOON = timedelta(days=3)
FAILING = 0.5
"""The share of failed calls from which a link or storage counts as failing altogether."""
LEAST_CALLS = 3
GROWING_FROM = 100
"""vCons in a list from which its growth is worth a warning."""
LONG_WAIT = 600.0
"""Seconds that the head of a list may wait before that is worth a warning."""
LONGEST_SHOWN = 120
LONGEST_PROBLEM = 300

type Severity = Literal["yellow", "red"]


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one link or storage in the last minutes."""

    kind: str
    chain: str
    name: str
    ok: int
    failed: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at."""

    now: datetime
    chains: Sequence[ChainFlow] = ()
    replicas: Sequence[Replica] = ()
    redis: RedisStatus = field(default_factory=RedisStatus)
    postgres: PostgresStatus = field(default_factory=PostgresStatus)
    calls: Sequence[Calls] = ()
    dead_letters: Sequence[ListCount] = ()
    """The lists of dead letters that are not empty, the longest first."""
    erasures: ErasureCounts = field(default_factory=ErasureCounts)
    destinations: Mapping[str, State] = field(default_factory=dict)
    disk_free_share: float | None = None
    hash_here: str | None = None
    """The configuration's hash in the process that answers."""

    @property
    def slots(self) -> int:
        """The slots of all replicas that are not stopping."""
        return sum(each.slots for each in self.replicas if not each.stopping)

    @property
    def in_flight(self) -> int:
        """The runs of all chains."""
        return sum(each.in_flight for each in self.chains)


type Rule = Callable[[Facts], Iterator[Cause]]


def shown(name: str) -> str:
    """A name in a text: one line, bounded."""
    return one_line(storable_text(name, LONGEST_SHOWN))


def command(*words: str) -> str:
    """The command line with these arguments, quoted for a shell."""
    return " ".join([COMMAND, *(shlex.quote(shown(word)) for word in words)])


def _cause(level: Severity, code: str, text: str, run: str, subject: str = "") -> Cause:
    return Cause(level=level, code=code, subject=shown(subject), text=text, command=run)


def _redis(facts: Facts) -> Iterator[Cause]:
    redis, page = facts.redis, f"{PAGE}#redis"
    if not redis.reachable:
        text = f"Redis cannot be used: {shown(redis.error)}. Nothing comes in and no run begins"
        yield _cause("red", "redis_away", text, command("check"))
        return
    if not redis.has_json:
        text = "Redis has no JSON commands: use Valkey with valkey-json, Redis 8 or Redis Stack"
        yield _cause("red", "redis_json", text, page)
    if redis.most_bytes:
        share = redis.used_bytes / redis.most_bytes
        text = f"Redis uses {share:.0%} of its memory (maxmemory {redis.most_bytes:,} bytes)"
        if share >= MEMORY_FULL:
            run = "redis-cli config set maxmemory <more>"
            yield _cause("red", "redis_memory", f"{text}: nothing more is let in", run)
        elif share >= MEMORY_HIGH:
            yield _cause("yellow", "redis_memory", text, page)
    for warning in redis.warnings:
        failed = "cannot write" in warning or "no vCon is claimed" in warning
        yield _cause("red" if failed else "yellow", "redis_settings", shown(warning), page)
    for key, error in redis.unusable.items():
        text = f"another program has written {shown(error)}; runs that need it wait"
        run = f"redis-cli rename {shlex.quote(shown(key))} <name>"
        yield _cause("red", "foreign_key", text, run, key)


def _workers(facts: Facts) -> Iterator[Cause]:
    if not facts.redis.reachable:
        return
    waiting = sum(each.waiting for each in facts.chains if each.enabled)
    if not facts.replicas:
        text = "no replica has given a sign of life within 15 s"
        yield _cause("red", "no_replica", text, command("serve"))
    elif not facts.slots:
        level: Severity = "red" if waiting else "yellow"
        text = f"no worker is alive on {len(facts.replicas)} replicas; {waiting:,} vCons wait"
        yield _cause(level, "no_worker", f"{text}: see CONSERVER_WORKERS", command("replicas"))
    for each in facts.replicas:
        if each.age > SILENT_SECONDS:
            text = f"replica {shown(each.id)} is silent for {each.age:.0f} s: frozen or killed"
            yield _cause("yellow", "replica_silent", text, command("replicas"), each.id)
        if each.drained is not None:
            until = f" until {each.drained.until:%H:%M} UTC" if each.drained.until else ""
            text = f"replica {shown(each.id)} is drained{until} and claims nothing"
            yield _cause("yellow", "drained", text, command("undrain", each.id), each.id)


def _postgres(facts: Facts) -> Iterator[Cause]:
    postgres = facts.postgres
    share = postgres.history_waiting / max(postgres.history_limit, 1)
    if postgres.error:
        text = f"Postgres cannot be used: {shown(postgres.error)}. Partners and the history wait"
        yield _cause("red", "postgres_away", text, command("check"))
    if share >= HISTORY_HIGH:
        text = f"{postgres.history_waiting:,} finished runs wait for Postgres"
        level: Severity = "red" if share >= HISTORY_FULL else "yellow"
        yield _cause(level, "postgres_lag", text, f"{PAGE}#when-postgres-is-slow-or-locked")


def _plugboard(facts: Facts) -> Iterator[Cause]:
    serving = [each for each in facts.replicas if each.joined is not None and not each.stopping]
    away = [each for each in serving if not each.joined]
    if away:
        text = f"{len(away)} of {len(serving)} replicas are not joined to the Plugboard"
        level: Severity = "red" if len(away) == len(serving) else "yellow"
        yield _cause(level, "not_joined", text, command("check"), away[0].id)
    expiry = [each.token_expires_at for each in serving if each.token_expires_at]
    left = min(expiry) - facts.now if expiry else TOKEN_SOON
    if left < TOKEN_SOON:
        when = "has expired" if left <= timedelta() else f"expires in {_hours(left)}"
        level = "red" if left <= timedelta() else "yellow"
        yield _cause(level, "token", f"the Plugboard's token {when}", f"{PAGE}#the-token")


def _hours(left: timedelta) -> str:
    return f"{left.total_seconds() / 3600:.0f} hours"


def _destinations(facts: Facts) -> Iterator[Cause]:
    for name, each in facts.destinations.items():
        if each.is_open:
            runs = f"{each.waiting:,} {'run waits' if each.waiting == 1 else 'runs wait'}"
            text = f"destination {shown(name)} is not called, since it failed repeatedly; {runs}"
            yield _cause("red", "destination_open", text, command("destinations"), name)


def _failing(facts: Facts) -> Iterator[Cause]:
    for each in facts.calls:
        total = each.ok + each.failed
        if total < LEAST_CALLS or each.failed < total * FAILING:
            continue
        where = "" if each.kind == "storage" else f" of chain {shown(each.chain)}"
        text = (
            f"{each.kind} {shown(each.name)}{where} fails:"
            f" {each.failed:,} of {total:,} calls in the last minutes"
        )
        run = command("failures")
        if each.kind == "storage":
            run = command("failures", "--storage", each.name)
        yield _cause("red", f"{each.kind}_failing", text, run, each.name)


def _chains(facts: Facts) -> Iterator[Cause]:
    for chain in facts.chains:
        name = shown(chain.name)
        if chain.trend == "paused":
            until = f" until {chain.paused_until:%H:%M} UTC" if chain.paused_until else ""
            why = f" ({shown(chain.pause_reason)})" if chain.pause_reason else ""
            text = f"chain {name} is paused{until}{why}; {chain.waiting:,} vCons wait"
            yield _cause("yellow", "paused", text, command("resume", chain.name), chain.name)
        elif chain.broken:
            text = f"chain {name} is disabled, as it is broken: {_first(chain.broken)}"
            level: Severity = "red" if chain.waiting else "yellow"
            text += f"; {chain.waiting:,} vCons wait" if chain.waiting else ""
            yield _cause(level, "broken", text, command("check"), chain.name)
        elif chain.trend == "disabled" and chain.waiting:
            text = f"chain {name} is disabled in config.yml; {chain.waiting:,} vCons wait"
            yield _cause("yellow", "disabled", text, "set enabled: 1", chain.name)
        elif chain.trend == "stuck" and facts.slots:
            text = f"chain {name} does not move: {chain.waiting:,} vCons wait, and no run began"
            yield _cause("red", "stuck", text, command("replicas"), chain.name)
        elif chain.trend == "growing" and chain.waiting >= GROWING_FROM:
            yield _growing(facts, chain)
        elif _hangs(chain):
            text = f"chain {name}: all {chain.in_flight} runs take long, and none has ended lately"
            yield _cause("yellow", "slow_runs", text, command("running"), chain.name)


def _first(problem: str) -> str:
    return one_line(storable_text(problem, LONGEST_PROBLEM))


def _hangs(chain: ChainFlow) -> bool:
    oldest = chain.oldest_seconds or 0.0
    return bool(chain.in_flight) and not chain.out_per_minute and oldest > LONG_WAIT


def _growing(facts: Facts, chain: ChainFlow) -> Cause:
    text = (
        f"chain {shown(chain.name)} takes in {chain.in_per_minute or 0:,.0f} a minute and ends"
        f" {chain.out_per_minute:,.0f}; {chain.waiting:,} wait"
    )
    if facts.in_flight >= facts.slots:
        text += f". All {facts.slots} slots are in use: find the slow step, or add workers"
    return _cause("yellow", "growing", text, command("slow", "--since", "1h"), chain.name)


def _failures(facts: Facts) -> Iterator[Cause]:
    for chain in facts.chains:
        if chain.failed:
            text = f"{chain.failed:,} runs of chain {shown(chain.name)} failed in the last hour"
            yield _cause("yellow", "failures", text, command("failures"), chain.name)


def _dead_letters(facts: Facts) -> Iterator[Cause]:
    """Those that the failed runs of the last hour cannot have left: older ones, or put there."""
    count = sum(each.count for each in facts.dead_letters)
    if count > sum(chain.failed for chain in facts.chains):
        longest, *more = facts.dead_letters
        where = shown(longest.name) + (f" and {len(more)} more lists" if more else "")
        text = f"{count:,} dead letters lie in {where}; not all are of runs of the last hour"
        yield _cause("yellow", "dead_letters", text, command("failures"), longest.name)


def _erasures(facts: Facts) -> Iterator[Cause]:
    if count := facts.erasures.overdue:
        which = "1 erasure was" if count == 1 else f"{count:,} erasures were"
        text = f"{which} requested more than 30 days ago and not ended"
        yield _cause("yellow", "erasures_overdue", text, command("erasure", "list", "--open"))


def _configuration(facts: Facts) -> Iterator[Cause]:
    hashes = {each.config_hash for each in facts.replicas if each.config_hash}
    if len(hashes) > 1:
        text = f"the replicas have {len(hashes)} different configurations"
        yield _cause("yellow", "configurations", text, command("replicas"))
    elif facts.hash_here and hashes and facts.hash_here not in hashes:
        text = "the configuration file differs from the one that the replicas have in force"
        yield _cause("yellow", "configuration_file", text, command("check"))
    for each in facts.replicas:
        if each.notes_count:
            note = shown(each.notes[0]) if each.notes else "see check"
            text = f"{each.notes_count} notes on the configuration of {shown(each.host)}: {note}"
            yield _cause("yellow", "notes", text, command("check"), each.id)
            break


def _disk(facts: Facts) -> Iterator[Cause]:
    share = facts.disk_free_share
    if share is not None and share < DISK_LOW:
        text = f"{share:.0%} of the disk of this machine is free"
        level: Severity = "red" if share < DISK_FULL else "yellow"
        yield _cause(level, "disk", text, "df -h")


RULES: Sequence[Rule] = (
    *(_redis, _workers, _postgres, _disk, _plugboard),
    *(_destinations, _failing, _chains, _failures, _dead_letters, _erasures, _configuration),
)


def causes_of(facts: Facts) -> list[Cause]:
    """All causes, red ones first; each level in the order of the rules."""
    found = [cause for rule in RULES for cause in rule(facts)]
    return sorted(found, key=lambda cause: cause.level != "red")[:MOST_CAUSES]


def level_of(causes: Sequence[Cause]) -> Level:
    """The level of the worst cause."""
    levels: set[Level] = {cause.level for cause in causes}
    return "red" if "red" in levels else "yellow" if levels else "green"
