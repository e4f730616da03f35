"""Which vCons an erasure is about: those named or found, and those that links made of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from core.operator_interfaces import Call
from pipeline.operator.people.find import Find
from pipeline.stored.index import StoredIndex
from pipeline.stored.lineage import made_from
from schemas.operator.people import EraseParameters, FindQuery
from schemas.stored_vcon import StoredVcon

PAGE = 500


@dataclass(slots=True)
class Target:
    """One vCon to erase. `storages`: None where the index does not know it."""

    uuid: str
    created_at: datetime | None = None
    made_from: str | None = None
    storages: Sequence[str] | None = None
    chains: Sequence[str] = ()


@dataclass(slots=True)
class Selection:
    """The vCons of an erasure; `more`: there are more than its limit."""

    targets: list[Target] = field(default_factory=list)
    more: bool = False
    notes: list[str] = field(default_factory=list)


async def select(wanted: EraseParameters, find: Find, index: StoredIndex, call: Call) -> Selection:
    """The vCons of an erasure, as the index in Postgres has them now.

    Raises:
        UnavailableError: Postgres or Redis cannot be reached.
    """
    selection = Selection()
    if wanted.uuids:
        uuids = list(dict.fromkeys(wanted.uuids))
    else:
        uuids = await _found(wanted, find, selection, call)
    named = set(uuids)
    made = await made_from(uuids[: wanted.limit], index, wanted.limit)
    everything = list(dict.fromkeys([*uuids, *made]))
    selection.more = selection.more or len(everything) > wanted.limit
    kept = everything[: wanted.limit]
    rows: dict[str, StoredVcon] = {}
    for some in _slices(kept):
        rows |= await index.get(some)
    for each in kept:
        row, source = rows.get(each), made.get(each)
        target = Target(each, made_from=source if each not in named else None)
        if row:
            target.created_at = row.created_at
            target.storages, target.chains = row.storages, row.chains
        selection.targets.append(target)
    return selection


async def _found(
    wanted: EraseParameters, find: Find, selection: Selection, call: Call
) -> list[str]:
    person = wanted.model_dump(include={"tel", "mail", "name"})
    found: list[str] = []
    cursor: str | None = None
    while len(found) <= wanted.limit:
        query = FindQuery(**person, limit=PAGE, cursor=cursor)
        page = await find.find(query, call)
        found += [each.uuid for each in page.vcons if each.uuid not in found[-PAGE:]]
        selection.notes = list(dict.fromkeys([*selection.notes, *page.notes]))
        cursor = page.cursor
        if cursor is None:
            return found
    selection.more = True
    return found


def _slices(uuids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (uuids[at : at + PAGE] for at in range(0, len(uuids), PAGE))
