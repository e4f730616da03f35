"""`find`: the vCons of a person, from the index in Postgres and the search index in Redis.

A page has first what Postgres has, newest first; then what only Redis has: vCons that no run has
ended yet, or that were there before the index. The cursor says in which of the two a page ended,
and names no value.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from core.errors import InvalidError, UnavailableError
from core.operator_interfaces import Call, Operation
from pipeline.admin.vcon_index import VconIndex
from pipeline.operator.parts import Parts
from pipeline.operator.people.spellings import Spellings, mark
from pipeline.operator.row import Row
from pipeline.stored.index import StoredIndex
from pipeline.vcon.party_terms import Field
from schemas.operator.people import FindQuery, FoundPage, FoundVcon
from schemas.stored_vcon import StoredVcon
from schemas.uuids import canonical_uuid

FIND = Operation(
    "find",
    "The vCons of a person, by number, address or name",
    FindQuery,
    FoundPage,
    people=True,
)

_CURSOR = re.compile(
    r"p~(?P<at>[0-9T:.+-]{10,40})~(?P<uuid>[0-9a-f-]{36})|"
    r"r~(?P<mark>[0-9a-f]{0,16})~(?P<rest>(?:(?:tel|mailto|name)~[0-9]{1,19}~.{0,200})?)",
    re.ASCII,
)
WITHOUT_POSTGRES = "Postgres cannot be reached: only vCons that are in Redis were searched"
OTHER_HASHES = (
    "vcon_index has rows of another INDEX_SECRET, which are not found: add it to"
    " INDEX_SECRETS_EARLIER here"
)
NOT_ALL_KEYS = "Redis has too many search keys: some spellings may be missing"


@dataclass(slots=True)
class _Page:
    """A page that is being filled."""

    limit: int
    vcons: list[FoundVcon] = field(default_factory=list)
    cursor: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def room(self) -> int:
        return self.limit - len(self.vcons)


class Find:
    """Finds vCons by a number, an address or a name."""

    def __init__(self, parts: Parts) -> None:
        self._index: StoredIndex = parts.index
        self._in_redis: VconIndex = parts.operations.index
        self._redis = parts.redis
        self._sorted_set = parts.settings.vcon_sorted_set_name
        self._spellings = Spellings(parts.redis, parts.index.region)

    async def find(self, query: FindQuery, _call: Call) -> FoundPage:
        """A page of the vCons of a person.

        Raises:
            InvalidError: nothing is left of the value, or the cursor is none.
        """
        [(name, value)] = query.given
        form = self.form(name, value)
        match = _CURSOR.fullmatch(query.cursor) if query.cursor else None
        if query.cursor and match is None:
            msg = "cursor: use the cursor of an earlier page of the same search as it is"
            raise InvalidError(msg)
        page = _Page(query.limit)
        if match is None or match["at"]:
            await self._from_postgres(name, form, page, _position(match))
        if page.cursor is None:
            begin = (match["mark"], match["rest"]) if match and match["rest"] is not None else None
            await self._from_redis(name, form, page, begin)
        return FoundPage(sought=form, vcons=page.vcons, cursor=page.cursor, notes=page.notes)

    def form(self, name: Field, value: str) -> str:
        """The normalised value.

        Raises:
            InvalidError: nothing is left of it.
        """
        form = self._index.normal(name, value)
        if not form:
            msg = f"{'mail' if name == 'mailto' else name}: nothing that can be searched is in it"
            raise InvalidError(msg)
        return form

    async def _from_postgres(
        self, name: Field, form: str, page: _Page, after: tuple[datetime, UUID] | None
    ) -> None:
        try:
            if after is None and await self._index.unknown_secrets():
                page.notes.append(OTHER_HASHES)
            found = await self._index.find(name, form, page.limit + 1, after)
        except UnavailableError:
            page.notes.append(WITHOUT_POSTGRES)
            return
        shown = found[: page.limit]
        here = await self._in_redis.present([each.uuid for each in shown])
        page.vcons += [_indexed(each, in_redis=each.uuid in here) for each in shown]
        if len(found) > page.limit:
            page.cursor = f"p~{shown[-1].created_at.isoformat()}~{shown[-1].uuid}"

    async def _from_redis(
        self, name: Field, form: str, page: _Page, begin: tuple[str, str] | None
    ) -> None:
        found, is_all = await self._spellings.find(name, form)
        if not is_all:
            page.notes.append(NOT_ALL_KEYS)
        first, rest = begin or ("", "")
        for key in (each for each in found if mark(each) >= first):
            inner = rest if mark(key) == first and rest else None
            while True:
                if page.room == 0:
                    page.cursor = f"r~{mark(key)}~{inner or ''}"
                    return
                listed = await self._in_redis.search([key], page.room, inner)
                page.vcons += await self._unindexed(name, form, listed.vcon_uuids, page)
                inner = listed.cursor
                if inner is None:
                    break

    async def _unindexed(
        self, name: Field, form: str, names: Sequence[str], page: _Page
    ) -> list[FoundVcon]:
        """Those that the first part of the pages does not have."""
        listed = {each.uuid for each in page.vcons}
        uuids = [each for each in map(canonical_uuid, names) if each and each not in listed]
        if not uuids:
            return []
        known: set[str] = set()
        rows: dict[str, StoredVcon] = {}
        try:
            known = await self._index.known(name, form, uuids)
            rows = await self._index.get(uuids)
        except UnavailableError:
            if WITHOUT_POSTGRES not in page.notes:
                page.notes.append(WITHOUT_POSTGRES)
        fresh = [each for each in uuids if each not in known]
        here = await self._in_redis.present(fresh)
        times = await self._times(fresh)
        return [
            FoundVcon(
                uuid=each,
                created_at=times.get(each),
                chains=rows[each].chains if each in rows else [],
                storages=rows[each].storages if each in rows else [],
                in_redis=each in here,
                indexed=False,
            )
            for each in fresh
        ]

    async def _times(self, uuids: Sequence[str]) -> dict[str, datetime]:
        if not uuids:
            return {}
        scores = await self._redis.command("ZMSCORE", self._sorted_set, *uuids)
        found: dict[str, datetime] = {}
        for each, score in zip(uuids, scores, strict=True):
            try:
                found[each] = datetime.fromtimestamp(float(score), UTC)
            except (TypeError, ValueError, OverflowError):  # none, or no time
                continue
        return found


def _position(match: re.Match[str] | None) -> tuple[datetime, UUID] | None:
    if match is None:
        return None
    try:
        return datetime.fromisoformat(match["at"]), UUID(match["uuid"])
    except ValueError:
        msg = "cursor: use the cursor of an earlier page of the same search as it is"
        raise InvalidError(msg) from None


def _indexed(stored: StoredVcon, *, in_redis: bool) -> FoundVcon:
    return FoundVcon(**stored.model_dump(), in_redis=in_redis, indexed=True)


def rows(parts: Parts) -> Sequence[Row]:
    """The operation of this file."""
    return [Row(FIND, Find(parts).find)]
