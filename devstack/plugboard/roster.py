"""Who is joined to which service, what they registered, and whose turn it is."""

import json
from dataclasses import dataclass, field

from devstack.plugboard.sockets import Socket


@dataclass(slots=True)
class Table:
    """The joined sockets of one service; `actions` are those of the one that came first."""

    members: list[Socket] = field(default_factory=list)
    turn: int = 0
    actions: str | None = None


class Roster:
    """The joined sockets of all services, each service with a rotation of its own."""

    def __init__(self) -> None:
        self._tables: dict[int, Table] = {}

    def add(self, socket: Socket, actions: str) -> int:
        """Seat a socket; returns how many there are now. The first one's actions count."""
        table = self._tables.setdefault(socket.service.id, Table())
        if not table.members:
            table.actions = actions
        table.members.append(socket)
        return len(table.members)

    def remove(self, socket: Socket) -> int:
        """Take a socket out of the rotation, whose order holds; returns how many remain."""
        table = self._tables[socket.service.id]
        place = table.members.index(socket)
        del table.members[place]
        if place < table.turn:
            table.turn -= 1
        if not table.members:
            del self._tables[socket.service.id]
        return len(table.members)

    def members(self, service_id: int) -> tuple[Socket, ...]:
        """The joined sockets of a service, in the order of joining."""
        table = self._tables.get(service_id)
        return () if table is None else tuple(table.members)

    def actions(self, service_id: int) -> str | None:
        """The registered actions in canonical form, or None while nobody is joined."""
        table = self._tables.get(service_id)
        return None if table is None else table.actions

    def next(self, service_id: int) -> Socket | None:
        """Whose turn it is, strictly round robin whatever their load; None if nobody is joined."""
        table = self._tables.get(service_id)
        if table is None:
            return None
        place = table.turn % len(table.members)
        table.turn = place + 1
        return table.members[place]


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
