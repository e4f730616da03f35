"""The lists of withheld vCons: `keys.withheld(list)`, with the reasons as those of dead letters.

A run that is withheld may have failed at storages before, and is a dead letter of those then. A
replay of one of its entries serves all of them.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from core.errors import InvalidError, UnknownNameError
from pipeline.config.lists import lists_of
from pipeline.config.model import Chain, LinkStep, PluginSpec
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from schemas.operator.law.withheld import WithheldVcon

_POSITION = re.compile(r"([0-9]{1,9}):([0-9a-f-]{0,36})", re.ASCII)

type Known = Mapping[str, Any] | None
"""A run, or None if Redis no longer has it."""


class Position(NamedTuple):
    """Where a release goes on in a list: after the last vCon that it left there, if there is one.

    `at` is where it stood then; those before it may be released meanwhile.
    """

    at: int = 0
    last: str = ""

    def __str__(self) -> str:
        """The cursor of the position."""
        return f"{self.at}:{self.last}"


class WithheldLists:
    """Reads the lists."""

    def __init__(self, connection: RedisConnection, configuration: Configuration) -> None:
        """Lists of disabled chains are read, too."""
        self._connection = connection
        self._configuration = configuration

    async def counts(self, list_name: str | None = None) -> dict[str, int]:
        """How many vCons each list has, by the list that they came from.

        Raises:
            UnknownNameError: no chain has this list, and none of its vCons are withheld.
        """
        known = lists_of(self._configuration.config).ingress
        wanted = known if list_name is None else [list_name]
        counts = {name: await self._count(name) for name in wanted}
        if list_name is not None and list_name not in known and not counts[list_name]:
            raise UnknownNameError("ingress list", list_name, known)
        return counts

    async def _count(self, list_name: str) -> int:
        return int(await self._connection.command("LLEN", keys.withheld(list_name)))

    async def oldest(self, list_name: str, start: int, limit: int) -> list[WithheldVcon]:
        """Some vCons of a list from a position on, oldest first."""
        name = keys.withheld(list_name)
        uuids = await self._connection.command("LRANGE", name, start, start + limit - 1)
        found = await self._reasons(list_name, uuids)
        return [_withheld(list_name, each, found.get(each)) for each in uuids]

    async def start_at(self, list_name: str, position: Position, page: int) -> int:
        """The index at which a release goes on.

        Where the last vCon is gone, it is one page earlier: some are looked at again, none is left
        out.
        """
        if not position.last:
            return position.at
        found = await self._connection.command("LPOS", keys.withheld(list_name), position.last)
        return max(0, position.at - page) if found is None else int(found) + 1

    async def named(self, list_name: str, vcon_uuids: Sequence[str]) -> list[WithheldVcon]:
        """Those of these vCons that are withheld in this list."""
        found = await self._reasons(list_name, vcon_uuids)
        return [_withheld(list_name, each, reason) for each, reason in found.items()]

    async def _reasons(self, list_name: str, uuids: Sequence[str]) -> Mapping[str, str]:
        if not uuids:
            return {}
        key = keys.reasons(keys.withheld(list_name))
        reasons = await self._connection.command("HMGET", key, *uuids)
        return {each: reason for each, reason in zip(uuids, reasons, strict=True) if reason}


def position_of(cursor: str | None) -> Position:
    """The position that a cursor names.

    Raises:
        InvalidError: the cursor is none.
    """
    if cursor is None:
        return Position()
    match = _POSITION.fullmatch(cursor)
    if match is None:
        raise InvalidError("cursor: use the cursor of an earlier result as it is")
    return Position(int(match[1]), match[2])


def start_of(cursor: str | None) -> tuple[str, int]:
    """The list and the position at which a page begins.

    Raises:
        InvalidError: the cursor is none.
    """
    if not cursor:
        return "", 0
    position, colon, name = cursor.partition(":")
    if not (colon and position.isascii() and position.isdigit() and len(position) <= 9):
        raise InvalidError("cursor: use the cursor of an earlier page as it is")
    return name, int(position)


def purpose_of(
    chain: Chain, kind: str | None, step: str | None, hooks: Sequence[PluginSpec]
) -> str | None:
    """The purpose that a step or hook requires; None if it requires none, or there is none."""
    if kind == "egress":
        return None if chain.egress is None else chain.egress.requires
    steps: dict[str | None, Sequence[LinkStep | PluginSpec]] = {
        "link": chain.links,
        "storage": chain.storages,
        "tracer": chain.tracers,
        "hook": hooks,
    }
    found = [each.requires for each in steps.get(kind, ()) if each.name == step]
    return found[0] if found else None


def _withheld(list_name: str, vcon_uuid: str, reason: str | None) -> WithheldVcon:
    """The entry; without its reason if that has not the form of this service."""
    about = {"vcon_uuid": vcon_uuid, "list_name": list_name}
    with contextlib.suppress(ValueError, TypeError, ValidationError):
        details = orjson.loads(reason) if reason else {}
        return WithheldVcon.model_validate({**details, **about})
    return WithheldVcon.model_validate(about)


async def withheld_in(
    connection: RedisConnection, vcon_uuids: Sequence[str], runs: Sequence[Known]
) -> list[str | None]:
    """The list of withheld vCons in which each run stands; the vCons are those of the entries."""
    pairs = zip(vcon_uuids, runs, strict=True)
    return [await _withheld_in(connection, vcon_uuid, run) for vcon_uuid, run in pairs]


async def _withheld_in(connection: RedisConnection, vcon_uuid: str, run: Known) -> str | None:
    if run is None or run["status"] != "withheld":
        return None
    name = keys.withheld(run["ingress_list"] or keys.run_list(run["chain"]))
    reason = await connection.command("HGET", keys.reasons(name), vcon_uuid)
    with contextlib.suppress(ValueError, TypeError, AttributeError):  # of another program
        if orjson.loads(reason or "{}").get("run_id") == run["run_id"]:
            return name
    return None  # that of a later run


def others(name: str, run: Known) -> list[str]:
    """The other lists in which a run stands; `withheld_in`, a member of it, is one of them."""
    steps = run["steps"] if run else []
    failed = [step for step in steps if step["outcome"] == "failed" and step["kind"] == "storage"]
    lists = [keys.storage_dead_letters(step["name"]) for step in failed]
    if run and run.get("withheld_in"):
        lists.append(run["withheld_in"])
    return [each for each in dict.fromkeys(lists) if each != name]
