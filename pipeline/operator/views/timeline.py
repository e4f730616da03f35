"""Everything that is known of one vCon: from Redis, the run history and the audit."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from core.errors import PatchcordError, UnusableKeyError
from core.operator_interfaces import Call, Operation
from pipeline.config.lists import claimed_lists, lists_of
from pipeline.operator.entries import Entries
from pipeline.operator.parts import Parts
from pipeline.operator.reading import parsed, readable, redis_now
from pipeline.operator.views.explanation import events_of, explained, without_texts
from pipeline.operator.views.running import in_flight
from pipeline.redis_client import keys
from pipeline.redis_client.slices import find_first
from schemas.operator.timeline import MOST_RUNS, Event, Place, Timeline, TimelineQuery
from schemas.run import FINISHED, Run, attempts_made
from schemas.run_page import RunQuery

TIMELINE = Operation("timeline", "What happened to one vCon", TimelineQuery, Timeline)
MOST_HOLDS = 200
"""Lists and runs that need one vCon, which are looked at."""
RECENT = 500
"""The newest entries of the outbox of the history that are searched."""
MOST_EVENTS = 100
"""Audit events of one vCon in an answer at most, the newest."""


class TimelineView:
    """Reads the timeline of a vCon; what is away is noted, and the rest is shown."""

    def __init__(self, parts: Parts) -> None:
        self._redis = parts.redis
        self._configuration = parts.configuration
        self._archive = parts.archive
        self._operations = parts.operations
        self._admin = parts.partner_admin

    async def show(self, query: TimelineQuery, _call: Call) -> Timeline:
        """The vCon's places, runs and events.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        vcon, notes = query.vcon_uuid, list[str]()
        about: dict[str, str] = await self._hash(keys.about(vcon))
        expiry, places = await asyncio.gather(self._expiry(vcon), self._places(vcon))
        runs = await self._runs(vcon, notes)
        audited, owner = await self._of_records(vcon, about, notes)
        if expiry is not None:
            places.append(Place(kind="redis", name=keys.vcon(vcon), seconds=expiry or None))
        known = bool(places or about or runs or audited)
        state, summary, command = explained(places, runs, known=known)
        _, brief, _ = explained(*without_texts(places, runs), known=known)
        if erasure := await readable(self._redis.command("GET", keys.tombstone(vcon)), None):
            state, command = "erased", f"erasure show {erasure}"
            summary = brief = f"Its uuid is refused by erasure {erasure}"
        received = _moment(about.get("received"))
        events = [event for run in runs for event in events_of(run)] + audited
        if received is not None:
            events.append(Event(at=received, what="received", by=owner))
        return Timeline(
            vcon=vcon,
            state=state,
            summary=summary,
            brief=brief,
            command=command,
            in_redis=expiry is not None,
            received_at=received,
            owner=owner,
            stored=[] if erasure else _stored(runs),
            places=places,
            runs=runs,
            events=sorted(events, key=lambda event: event.at),
            replaced_by=sorted({run.vcon_out for run in runs if run.vcon_in == vcon} - {vcon}),
            replaces=sorted({run.vcon_in for run in runs if run.vcon_out == vcon} - {vcon}),
            notes=notes,
        )

    async def _hash(self, key: str) -> dict[str, str]:
        flat = await readable(self._redis.command("HGETALL", key), {})
        if isinstance(flat, Mapping):
            return dict(flat)
        return dict(zip(flat[::2], flat[1::2], strict=True))

    async def _expiry(self, vcon: str) -> float | None:
        """Seconds until the document expires, 0 without an end; None if it is not there."""
        left = int(await self._redis.command("TTL", keys.vcon(vcon)))
        return None if left == -2 else max(left, 0)

    # places

    async def _places(self, vcon: str) -> list[Place]:
        now = await redis_now(self._redis)
        held = await self._held(vcon, now)
        holds = await readable(self._redis.command("SRANDMEMBER", keys.holds(vcon), MOST_HOLDS), [])
        named = {name for name in holds if not name.startswith(keys.DEAD_LETTERS)}
        lists = lists_of(self._configuration.config)
        dead = {*lists.dead, *(set(holds) - named)}
        found: list[Place] = list(held)
        for part in await asyncio.gather(
            self._queued(vcon, _lists(named, lists.ingress), now),
            self._dead(vcon, sorted(dead)),
            self._egress(vcon, lists.egress, now),
        ):
            found += part
        return found

    async def _held(self, vcon: str, now: datetime) -> list[Place]:
        worker = await readable(self._redis.command("HGET", keys.LOCKS, vcon), None)
        worker = (worker or "").partition("\n")[0]
        text = worker and await readable(
            self._redis.command("HGET", keys.inflight(worker), vcon), None
        )
        if not text:
            return []
        _, run_id, list_name, _ = f"{text}\n\n\n".split("\n", 3)
        page = await self._operations.runs(RunQuery(status="running", vcon_uuid=vcon, limit=10))
        run = next((each for each in page.runs if each.run_id == run_id), None)
        shown = in_flight(run, now) if run else None
        place = Place(
            kind="in flight",
            name=worker,
            run=run_id,
            chain=run.chain if run else self._chain(list_name),
            step=shown.step if shown else None,
            seconds=shown.step_seconds if shown else None,
            attempt=shown.attempt if shown else None,
        )
        waiting = await readable(self._redis.command("LRANGE", keys.waiting(vcon), 0, 19), [])
        lists = dict.fromkeys(each.partition("\n")[0] for each in waiting)
        return [place, *(Place(kind="lock", name=each, chain=self._chain(each)) for each in lists)]

    def _chain(self, list_name: str) -> str | None:
        is_run_list = list_name.startswith(keys.RUN_LIST)
        if is_run_list:
            return list_name.removeprefix(keys.RUN_LIST)
        chains = self._configuration.config.chains.values()
        return next((each.name for each in chains if list_name in claimed_lists(each)), None)

    async def _queued(
        self, vcon: str, lists: Sequence[tuple[str, str]], now: datetime
    ) -> list[Place]:
        """Retries, suspects, and elements in lists."""
        found = await asyncio.gather(*(self._in_list(vcon, *each, now) for each in lists))
        return [place for place in found if place is not None]

    async def _in_list(self, vcon: str, name: str, run_id: str, now: datetime) -> Place | None:
        element = f"{vcon}|{run_id}" if run_id else vcon
        due, begun = await asyncio.gather(
            readable(self._redis.command("ZSCORE", keys.LATER, f"{name}\n{element}"), None),
            readable(self._redis.command("HGET", keys.attempts(name), element), None),
        )
        count, run, suspect = f"{begun or ''}\n\n".split("\n")[:3]
        about = {"name": name, "chain": self._chain(name), "run": run or run_id or None}
        attempt = keys.attempts_made(count) if count.isdigit() else None
        if due is not None:
            checkpoint = parsed(await readable(self._redis.command("GET", keys.run(run)), None))
            error = checkpoint.get("error")
            left = round(float(due) / 1000 - now.timestamp(), 3)
            return Place(kind="retry", attempt=attempt, seconds=left, error=error, **about)
        if suspect == "1" and await find_first(self._redis, keys.suspects(name), [element]):
            return Place(kind="suspect", attempt=attempt, **about)
        if await self._has(name, element):
            return Place(kind="list", attempt=attempt, paused=await self._paused(name), **about)
        return None

    async def _has(self, name: str, element: str) -> bool:
        return bool(await readable(find_first(self._redis, name, [element]), {}))

    async def _paused(self, list_name: str) -> bool:
        chain = self._chain(list_name)
        if chain is None:
            return False
        pauses = Entries(self._redis, keys.PAUSED)  # one that has ended may still be there
        return await readable(pauses.find(chain), None) is not None

    async def _dead(self, vcon: str, lists: Sequence[str]) -> list[Place]:
        reasons = await asyncio.gather(
            *(
                readable(self._redis.command("HGET", keys.reasons(each), vcon), None)
                for each in lists
            )
        )
        return [
            self._letter(name, parsed(reason))
            for name, reason in zip(lists, reasons, strict=True)
            if reason
        ]

    def _letter(self, name: str, reason: dict[str, Any]) -> Place:
        texts = {each: _text(reason.get(each)) for each in ("chain", "step", "error", "cause")}
        attempts = reason.get("attempts")
        attempt = attempts_made(attempts) if isinstance(attempts, int) else None
        run = _text(reason.get("run_id"))
        cause = _text(reason.get("fingerprint")) or texts.pop("cause")
        texts["cause"] = cause
        kind: Literal["withheld", "dead letter"] = "dead letter"
        if name.startswith(keys.WITHHELD):
            kind, name = "withheld", name.removeprefix(keys.WITHHELD)
        return Place(kind=kind, name=name, run=run, attempt=attempt, **texts)

    async def _egress(self, vcon: str, lists: Sequence[str], now: datetime) -> list[Place]:
        found = await asyncio.gather(*(self._unread(vcon, name, now) for name in lists))
        return [place for place in found if place is not None]

    async def _unread(self, vcon: str, name: str, now: datetime) -> Place | None:
        unread = await readable(self._redis.command("SISMEMBER", keys.unread(name), vcon), 0)
        if not unread:
            return None
        lent = await readable(self._redis.command("ZSCORE", keys.lease(name), vcon), None)
        left = None if lent is None else round(float(lent) / 1000 - now.timestamp(), 3)
        return Place(kind="egress list", name=name, seconds=left)

    # runs and records

    async def _runs(self, vcon: str, notes: list[str]) -> list[Run]:
        """Those of the history, of its outbox, and those that have not ended; newest first."""
        known: dict[str, Run] = {}
        try:
            page = await self._archive.list_runs(RunQuery(vcon_uuid=vcon, limit=MOST_RUNS))
            known = {run.run_id: run for run in page.runs}
        except PatchcordError as error:
            notes.append(f"the run history cannot be read: {error}")
        for run in await self._recent(vcon):
            known[run.run_id] = run
        for run in await self._unfinished(vcon, notes):
            known[run.run_id] = run
        newest = sorted(known.values(), key=_began, reverse=True)
        return newest[:MOST_RUNS]

    async def _unfinished(self, vcon: str, notes: list[str]) -> list[Run]:
        try:
            running = await self._operations.runs(
                RunQuery(status="running", vcon_uuid=vcon, limit=50)
            )
            queued = await self._operations.runs(
                RunQuery(status="queued", vcon_uuid=vcon, limit=50)
            )
        except UnusableKeyError as error:
            notes.append(f"runs that have not ended cannot be read: {error}")
            return []
        return [*running.runs, *queued.runs]

    async def _recent(self, vcon: str) -> list[Run]:
        texts = await readable(self._redis.command("LRANGE", keys.HISTORY, -RECENT, -1), [])
        about = [parsed(text) for text in texts if vcon in text]
        return [
            Run.model_validate(each)
            for each in about
            if vcon in (each.get("vcon_in"), each.get("vcon_out"))
            and each.get("status") in FINISHED
        ]

    async def _of_records(
        self, vcon: str, about: Mapping[str, str], notes: list[str]
    ) -> tuple[list[Event], str | None]:
        """The audit events of this vCon, and the label of its owner."""
        try:
            found = await self._admin.audit_events(None, None, MOST_EVENTS, f"vcon:{vcon}")
            keys_known = await self._admin.keys(None) if about.get("owner") else ()
        except PatchcordError as error:
            notes.append(f"the audit cannot be read: {error}")
            return [], None
        events = [
            Event(at=each.at, what=each.action, by=each.actor, name=each.target or None)
            for each in found
        ]
        labels = {str(each.lineage): each.label for each in reversed(keys_known)}
        return events, labels.get(about.get("owner", ""))


def _lists(holds: set[str], ingress: Sequence[str]) -> list[tuple[str, str]]:
    """The places to search: list and run id, which only elements of run lists have."""
    runs = [name.partition("|")[::2] for name in sorted(holds) if "|" in name]
    plain = [name for name in ingress if not name.startswith(keys.RUN_LIST)]
    named = [name for name in sorted(holds) if "|" not in name and name in ingress]
    return [*runs, *((name, "") for name in dict.fromkeys([*named, *plain]))]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def _began(run: Run) -> datetime:
    return run.started_at or run.queued_at or datetime.min.replace(tzinfo=UTC)


def _stored(runs: Sequence[Run]) -> list[str]:
    steps = [step for run in runs for step in run.steps if step.kind == "storage"]
    return sorted({step.name for step in steps if step.outcome == "ok"})
