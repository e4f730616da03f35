"""Dead letters: list them, count their causes, and replay them from the step that failed."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from core.errors import InvalidError
from core.observability.failure_cause import UNKNOWN
from core.observability.storable_text import storable_json
from core.observability.tracing import context as trace_context
from core.run_ids import new_run_id
from pipeline.admin.causes import CauseIndex
from pipeline.custody.replay_rows import ReplayRows
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from pipeline.redis_client.slices import chunks, find_first
from pipeline.runs.effects.replaying import as_told, can_skip, going_on
from pipeline.withheld.listing import others, withheld_in
from schemas.dead_letter import DeadLetter, DeadLetterPage, Uncertain
from schemas.run import Run, Step


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a dead letter is queued again: a list, and the chain that reads it.

    `done`: the steps that are not repeated, if nothing is known of the failed run. `used`: attempts
    that count as used.
    """

    list_name: str
    chain: str
    done: Sequence[Step] = ()
    used: int = 0


@dataclass(frozen=True, slots=True)
class Replay:
    """One vCon to queue. `vcon_uuid` is the vCon of the new run; a link may have replaced it."""

    letter: DeadLetter
    list_name: str
    vcon_uuid: str
    run_id: str
    checkpoint: bytes
    failed_run: str
    used: int
    letters: Sequence[str]

    @property
    def places(self) -> Sequence[tuple[str, str]]:
        """The dead letters: vCon and list."""
        return [(self.letter.vcon_uuid, name) for name in self.letters]

    def words(self, positions: Mapping[str, Mapping[str, int]], ref: str = "") -> tuple[Any, ...]:
        """The arguments of the script, in its order; positions by list and uuid.

        `ref`: the row of custody.
        """
        run = f"{self.run_id} {ref}".rstrip()
        to_run_list = self.list_name.startswith(keys.RUN_LIST)
        element = f"{self.vcon_uuid}|{self.run_id}" if to_run_list else self.vcon_uuid
        head = (self.letter.vcon_uuid, self.vcon_uuid, self.list_name, element)
        return (
            *(*head, run, self.checkpoint, self.failed_run, len(self.letters)),
            *(
                word
                for name in self.letters
                for word in (name, positions[name].get(self.letter.vcon_uuid, ""))
            ),
        )


def prepared(
    name: str,
    letter: DeadLetter,
    destination: Destination,
    failed: dict[str, Any] | None,
    *,
    from_start: bool,
    uncertain: Uncertain | None = None,
    asked: str = "",
) -> Replay | None:
    """A new run for an entry of the dead-letter list `name`.

    It goes on at the step that failed; it starts over if `from_start`, or if the checkpoint of the
    failed run has expired. A start uses the vCon that came in, if Redis still has it.

    `uncertain`: what is done with a step that may have happened. None if it cannot go on after that
    step, since what was done before it is not known. `asked`: by whom and why.
    """
    skips = uncertain == "skip" and letter.uncertain and not from_start
    if skips and not can_skip(letter, failed):
        return None
    vcon_uuid = (failed and from_start and failed["vcon_in"]) or letter.vcon_uuid
    run = _fresh(destination, vcon_uuid)
    if failed and not from_start:
        run |= going_on(failed, letter, uncertain, asked)
    elif not from_start:
        run |= {"steps": [step.model_dump(mode="json") for step in destination.done]}
    return Replay(
        letter=letter,
        list_name=destination.list_name,
        vcon_uuid=vcon_uuid,
        run_id=run["run_id"],
        checkpoint=storable_json(run),
        failed_run=letter.run_id if failed and letter.run_id else "",
        used=destination.used,
        letters=[name, *others(name, failed)],
    )


def _fresh(destination: Destination, vcon_uuid: str) -> dict[str, Any]:
    return Run(
        run_id=new_run_id(),
        chain=destination.chain,
        vcon_in=vcon_uuid,
        vcon_out=vcon_uuid,
        status="queued",
        ingress_list=None if _is_run_list(destination) else destination.list_name,
        attempts=0,
        queued_at=datetime.now(UTC),
    ).model_dump(mode="json")


def _is_run_list(destination: Destination) -> bool:
    return destination.list_name.startswith(keys.RUN_LIST)


PAGE = 500
"""Entries read in one round trip."""
REPLAYED = 25
"""Entries that one script call queues, so that other clients of Redis are not held up."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are replayed, into which list, and from which step.

    An entry whose `destination` is None stays. `vcon_uuids`, `cause` and `fingerprint` restrict the
    selection. `awaited`: seconds for which the ends of the new runs are published. `uncertain`:
    what is done with steps that may have happened. `asked`: by whom the replay is, and why.
    """

    destination: Callable[[DeadLetter], Destination | None]
    limit: int
    vcon_uuids: Sequence[str] | None = None
    cause: str | None = None
    from_start: bool = False
    fingerprint: str | None = None
    awaited: int = 0
    uncertain: Uncertain | None = None
    asked: str = ""
    unsure: set[str] = field(default_factory=set)
    """The vCons that stay because nothing says what is done with a step that may have happened."""

    def _fits(self, letter: DeadLetter) -> bool:
        has_fingerprint = self.fingerprint in (None, letter.fingerprint or UNKNOWN)
        return has_fingerprint and self.cause in (None, letter.cause)

    def pick(self, letter: DeadLetter) -> tuple[DeadLetter, Destination] | None:
        """The first of an entry's reasons that is selected, and where that goes; None for none."""
        for each in (letter, *letter.beside):
            if not self._fits(each):
                continue
            if each.uncertain and self.uncertain is None and not self.from_start:
                self.unsure.add(each.vcon_uuid)
            elif destination := self.destination(each):
                return each, destination
        return None


class DeadLetters:
    """Reads and replays dead-letter lists: `DLQ:{ingress list}` and `DLQ:storage:{name}`."""

    def __init__(
        self, connection: RedisConnection, *, run_expiry: int, rows: ReplayRows | None = None
    ) -> None:
        """The lists are those of vcon-server; the errors are in a hash beside each.

        `run_expiry`: seconds that the failed run stays in Redis after its replay. `rows`: the
        custody of replays.
        """
        self._rows = rows or ReplayRows(connection)
        self._connection = connection
        self._run_expiry = run_expiry
        self.index = CauseIndex(connection)

    async def count(self, name: str) -> int:
        """How many entries a list has."""
        return int(await self._connection.command("LLEN", name))

    async def uuids(self, name: str, limit: int) -> list[str]:
        """The uuids of the oldest entries, read in slices.

        Positions are counted from the tail, so that a replay meanwhile makes no gap.
        """
        total = await self.count(name)
        found: list[str] = []
        for first in range(0, min(total, limit), PAGE):
            last = min(first + PAGE, limit, total) - 1
            found += await self._connection.command("LRANGE", name, first - total, last - total)
        return found

    async def page(self, name: str, cursor: str | None, limit: int) -> DeadLetterPage:
        """Some entries, oldest first, and the count of every cause in the whole list.

        Raises:
            InvalidError: for a cursor that is none.
        """
        start = _position(cursor)
        total = await self.count(name)
        entries = await self._slice(name, start, limit)
        end = start + len(entries)
        return DeadLetterPage(
            entries=entries,
            total=total,
            causes=await self._causes(name, total),
            cursor=str(end) if entries and end < total else None,
        )

    async def _slice(self, name: str, start: int, limit: int) -> list[DeadLetter]:
        uuids = await self._connection.command("LRANGE", name, start, start + limit - 1)
        return await self.entries(name, uuids)

    async def entries(self, name: str, uuids: Sequence[str]) -> list[DeadLetter]:
        """The entries of these uuids, with their reasons."""
        if not uuids:
            return []
        reasons = await self._connection.command("HMGET", keys.reasons(name), *uuids)
        return [_letter(each, reason) for each, reason in zip(uuids, reasons, strict=True)]

    async def _causes(self, name: str, total: int) -> dict[str, int]:
        """The most frequent first; entries that another program put there have no reason."""
        if (found := await self.index.causes(name)).is_exact:
            counts = Counter({"unknown": found.unknown} if found.unknown else {})
            for each in found.causes:
                counts[each.label] += each.count
            return dict(counts.most_common())
        return await self._counted_causes(name, total)

    async def _counted_causes(self, name: str, total: int) -> dict[str, int]:
        """The same by reading every reason: some are not in the index, or are there twice."""
        causes: dict[str, str] = {}  # by uuid, since HSCAN may return one more than once
        cursor = "0"
        while True:
            cursor, found = await self._connection.command(
                "HSCAN", keys.reasons(name), cursor, "COUNT", PAGE
            )
            pairs = zip(found[::2], found[1::2], strict=True)
            causes |= {each: orjson.loads(reason).get("cause", "unknown") for each, reason in pairs}
            if cursor == "0":
                break
        counts = Counter(causes.values())
        if (unexplained := total - len(causes)) > 0:
            counts["unknown"] += unexplained
        return dict(counts.most_common())

    async def replay(self, name: str, selection: Selection) -> list[str]:
        """Queue the selected entries, oldest first; the ids of the new runs.

        A vCon that is being processed stays in the list.
        """
        if selection.vcon_uuids is not None:
            return await self._replay_named(name, selection, selection.vcon_uuids)
        runs: list[str] = []
        seen = start = 0
        total = await self.count(name)  # entries that fail again come after these
        while seen < total and len(runs) < selection.limit:
            letters = await self._slice(name, start, min(PAGE, total - seen))
            if not letters:
                break
            room, near = selection.limit - len(runs), start - total
            queued, _ = await self._queue(name, letters, selection, room, near)
            runs += queued
            seen += len(letters)
            start += len(letters) - len(queued)
        return runs

    async def _replay_named(
        self, name: str, selection: Selection, uuids: Sequence[str]
    ) -> list[str]:
        runs: list[str] = []
        for chunk in chunks(list(dict.fromkeys(uuids)), PAGE):
            letters = await self.entries(name, chunk)
            room = selection.limit - len(runs)
            runs += (await self._queue(name, letters, selection, room))[0]
        return runs

    async def replay_some(
        self, name: str, vcon_uuids: Sequence[str], selection: Selection, near: int | None
    ) -> tuple[list[str], int | None]:
        """Queue these entries as far as they are selected; the ids of the new runs.

        `near` is the position, counted from the tail, near which they are; the second value is that
        of the last of them.
        """
        letters = await self.entries(name, vcon_uuids)
        return await self._queue(name, letters, selection, len(vcon_uuids), near)

    async def unexplained(self, name: str) -> AsyncIterator[list[str]]:
        """The uuids of entries of which no cause is known, oldest first, some at a time."""
        total = await self.count(name)
        for first in range(-total, 0, PAGE):
            last = min(first + PAGE, 0) - 1
            uuids = await self._connection.command("LRANGE", name, first, last)
            letters = await self.entries(name, uuids)
            yield [each.vcon_uuid for each in letters if each.fingerprint in (None, UNKNOWN)]

    async def _queue(
        self,
        name: str,
        letters: Sequence[DeadLetter],
        selection: Selection,
        limit: int,
        near: int | None = None,
    ) -> tuple[list[str], int | None]:
        picks = [pick for letter in letters if (pick := selection.pick(letter))]
        queued: list[str] = []
        for chosen in chunks(picks[:limit], REPLAYED):
            runs = await self._failed_runs([letter for letter, _ in chosen])
            how: Any = {n: getattr(selection, n) for n in ("from_start", "uncertain", "asked")}
            replays = [
                replay
                for (letter, destination), run in zip(chosen, runs, strict=True)
                if (replay := prepared(name, letter, destination, run, **how))
            ]
            if not replays:
                continue
            positions = await self._positions(name, replays, near)
            refs = await self._rows.accept(replays)
            words = [
                word
                for replay in replays
                for word in replay.words(positions, refs.get(replay.run_id, ""))
            ]
            if selection.awaited:
                words += [selection.awaited, *(replay.used for replay in replays)]
            about = self._run_expiry, trace_context(), len(replays)
            reply = await self._connection.script("replay", *about, *words)
            queued += await self._rows.queued(replays, refs, reply)
            near = max(positions[name].values(), default=near)
        return queued, near

    async def _positions(
        self, name: str, replays: Sequence[Replay], near: int | None
    ) -> dict[str, dict[str, int]]:
        """The positions of the uuids in the dead-letter lists they are removed from."""
        wanted: dict[str, list[str]] = {}
        for replay in replays:
            for letters in replay.letters:
                wanted.setdefault(letters, []).append(replay.letter.vcon_uuid)
        return {
            each: await find_first(self._connection, each, uuids, near if each == name else None)
            for each, uuids in wanted.items()
        }

    async def _failed_runs(self, letters: Sequence[DeadLetter]) -> list[dict[str, Any] | None]:
        """The checkpoint of each run; its `vcon_in` is None if Redis no longer has that vCon.

        `withheld_in`: see `pipeline/withheld/listing.py`.
        """
        texts = await self._connection.command(
            "MGET", *(keys.run(letter.run_id or "") for letter in letters)
        )
        runs = [orjson.loads(text) if text else None for text in texts]
        came_in = [keys.vcon(run["vcon_in"] if run else "") for run in runs]
        here = await self._connection.script("present", *came_in)
        names = await withheld_in(self._connection, [each.vcon_uuid for each in letters], runs)
        return [
            run | {"vcon_in": run["vcon_in"] if there else None, "withheld_in": name}
            if run
            else None
            for run, there, name in zip(runs, here, names, strict=True)
        ]


def _position(cursor: str | None) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):
        msg = "cursor: use the cursor of an earlier page as it is"
        raise InvalidError(msg)
    return int(cursor)


def _letter(vcon_uuid: str, reason: str | None) -> DeadLetter:
    """The entry; without its reason if that has not the form of this service."""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        details = orjson.loads(reason) if reason else {}
        beside = [{**as_told(each), "vcon_uuid": vcon_uuid} for each in details.get("beside", ())]
        told = {**as_told(details), "vcon_uuid": vcon_uuid, "beside": beside}
        return DeadLetter.model_validate(told)
    return DeadLetter(vcon_uuid=vcon_uuid)
