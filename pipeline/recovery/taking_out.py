"""The phase before claims for a Redis with data of an earlier time: what has ended is taken out.

Each element of a list, in flight, delayed, waiting or lent out is compared with Postgres. It has
ended if none of the rows of custody that Redis names for it is open; one without rows, if its run
has ended, or a run of the same vCon and list under a later fencing token than Redis knows. What has
not ended stays where it is: its worker may be alive, and the rescue sees to those that are not.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from core.db import custody_reading
from core.db.custody import key_of
from core.run_ids import day_of
from pipeline.config.lists import lists_of
from pipeline.live_config import Configuration
from pipeline.recovery.recovery import FORECAST, MarkLostError, Slice, Under
from pipeline.recovery.steps import in_thread
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection

PAGE = 500
"""Elements of one slice."""
AT_ONCE = 50
"""Elements of one script that takes them out."""


class Source(NamedTuple):
    """Where elements are; the names of `restored.lua`."""

    kind: str
    name: str


class Element(NamedTuple):
    """An element as `restored.lua` returns it."""

    at: int
    list_name: str
    element: str
    vcon_uuid: str
    run: str
    hold: str
    refs: str

    @property
    def is_to_be_run(self) -> bool:
        """Whether a chain reads its list; its run tells whether it has ended."""
        return not self.list_name.startswith(keys.DEAD_LETTERS)


class TakingOut:
    """Takes out what has ended."""

    def __init__(
        self,
        connection: RedisConnection,
        configuration: Configuration,
        *,
        run_expiry: int,
        vcon_expiry: int,
    ) -> None:
        """`run_expiry`, `vcon_expiry`: seconds that an ended run, a stored vCon stay in Redis."""
        self._connection = connection
        self._configuration = configuration
        self._expiry = run_expiry, vcon_expiry

    async def take_out(self, under: Under) -> Slice:
        """A page of elements of one source."""
        cursor = under.state["cursor"] or ["", "", 0]
        async for source in self._sources():
            if source < (cursor[0], cursor[1]):
                continue
            start = cursor[2] if source == (cursor[0], cursor[1]) else 0
            words = (under.mark, *source, start, PAGE)
            state, *found = await self._connection.script("restored", *words)
            if state == "lost":
                raise MarkLostError
            if found:
                elements = [Element(*each) for each in found]
                taken = await self._take_out(under, source, elements)
                counts = {"taken out": taken} if taken else {}
                return Slice([*source, start + len(found) - taken], counts)
        return Slice()

    async def _sources(self) -> AsyncIterator[Source]:
        """Every place of elements, in an order that does not change: what is in flight first."""
        lists = lists_of(self._configuration.config)
        workers = await self._connection.command("SMEMBERS", keys.WORKERS)
        locked = await self._connection.command("HKEYS", keys.LOCKS)
        names = [*lists.all, *(keys.suspects(name) for name in lists.ingress)]
        sources = [
            *(Source("inflight", each) for each in workers),
            Source("later", ""),
            *(Source("lease", each) for each in lists.egress),
            *(Source("list", each) for each in names),
            *(Source("waiting", each) for each in locked),
        ]
        for source in sorted(sources):
            yield source

    async def _take_out(self, under: Under, source: Source, elements: Sequence[Element]) -> int:
        ended = await in_thread(self._ended, under, elements)
        taken = 0
        if under.mark == FORECAST:
            under.state["would"] = under.state.get("would", 0) + len(ended)
            return 0
        for at in range(0, len(ended), AT_ONCE):
            words = [
                word
                for each, may_expire in ended[at : at + AT_ONCE]
                for word in (each.at, each.list_name, each.element, each.run, int(may_expire))
            ]
            how = (under.mark, *source, *self._expiry, *words)
            count = await self._connection.script("take_out", *how)
            if count < 0:
                raise MarkLostError
            taken += count
        return taken

    def _ended(self, under: Under, elements: Sequence[Element]) -> list[tuple[Element, bool]]:
        """The elements that have ended, and whether their vCons may expire."""
        session = under.step.session
        named = [(*key_of(ref), each.hold) for each in elements for ref in each.refs.split()]
        are_open, have_documents = custody_reading.open_places(session, named)
        runs_ended = self._runs_ended(under, [each for each in elements if _by_run(each)])
        found = []
        for each in elements:
            numbers = [key_of(ref)[1] for ref in each.refs.split()]
            if numbers:
                has_ended = not any((number, each.hold) in are_open for number in numbers)
                keeps = any(number in have_documents for number in numbers)
            else:
                has_ended, keeps = each in runs_ended, False
            if has_ended:
                found.append((each, not keeps))
        return found

    def _runs_ended(self, under: Under, elements: Sequence[Element]) -> set[Element]:
        """Those whose run has ended, or that were run since."""
        session, counter = under.step.session, under.state["counter"]
        ids = [run for each in elements for run in _uuids(each.run)]
        days = [str(day_of(UUID(run))) for run in ids]
        ended = custody_reading.ended_runs(session, ids, days) if ids else set()
        vcons = [uuid for each in elements for uuid in _uuids(each.vcon_uuid)]
        since = custody_reading.runs_since(session, vcons, counter) if vcons else set()
        return {
            each
            for each in elements
            if each.run in ended or (each.vcon_uuid, each.list_name) in since
        }


def _by_run(element: Element) -> bool:
    return element.is_to_be_run and not element.refs


def _uuids(text: str) -> Iterator[str]:
    """The text, if it is a uuid: other programs may put anything into a list."""
    try:
        yield str(UUID(text))
    except ValueError:
        return
