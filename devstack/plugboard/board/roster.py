"""Joined sockets per service, their registered actions, and the rotation."""

import json
from dataclasses import dataclass, field

from devstack.plugboard.board.faults import Faults
from devstack.plugboard.board.sockets import Socket


@dataclass(slots=True)
class Table:
    """The joined sockets of one service; `actions` are those of the first to join."""

    members: list[Socket] = field(default_factory=list)
    turn: int = 0
    actions: str | None = None


class Roster:
    """The joined sockets of all services, with a rotation per service.

    The real rotation keeps an index per service and never adjusts it: when the list has become
    shorter than the index, the next request goes to no consumer, and the index starts over.
    """

    def __init__(self, faults: Faults) -> None:
        self._tables: dict[int, Table] = {}
        self._faults = faults

    def add(self, socket: Socket, actions: str) -> int:
        """Add a socket; returns the number of sockets. The first one's actions count."""
        table = self._tables.setdefault(socket.service.id, Table())
        if not table.members:
            table.actions = actions
        table.members.append(socket)
        return len(table.members)

    def remove(self, socket: Socket) -> int:
        """Remove a socket; the others keep their order. Returns the number that remain."""
        table = self._tables[socket.service.id]
        place = table.members.index(socket)
        del table.members[place]
        if place < table.turn and not self._faults.losses:
            table.turn -= 1
        return len(table.members)

    def members(self, service_id: int) -> tuple[Socket, ...]:
        """The joined sockets of a service, in the order of joining."""
        table = self._tables.get(service_id)
        return () if table is None else tuple(table.members)

    def actions(self, service_id: int) -> str | None:
        """The registered actions in canonical form, or None while no consumer is joined."""
        table = self._tables.get(service_id)
        return table.actions if table is not None and table.members else None

    def is_empty(self, service_id: int) -> bool:
        """Whether no consumer of the service is joined."""
        table = self._tables.get(service_id)
        return table is None or not table.members

    def next(self, service_id: int) -> Socket | None:
        """The next consumer, round robin; None means that the request is lost.

        At least one consumer must be joined.
        """
        table = self._tables[service_id]
        members, place = table.members, table.turn
        table.turn = (place + 1) % len(members)
        if place < len(members):
            return members[place]
        return None if self._faults.losses else members[0]


def canonical_actions(text: str) -> str | None:
    """Equal for equal decoded values (`1` equals `1.0`, key order is free); None if not JSON."""
    try:
        value = json.loads(text, parse_int=float, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return json.dumps(value, sort_keys=True)


def is_object(canonical: str | None) -> bool:
    """Whether canonical actions are a JSON object, as registering them needs."""
    return canonical is not None and canonical.startswith("{")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
