"""Reads the ledger, the file to which the plugins of the chaos chain append their events."""

from collections import Counter, defaultdict
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from devstack.chaos.plugins.chaos_plugins.behaviour import LEDGER


@dataclass(frozen=True, slots=True)
class Line:
    """One event: `what` happened to a vCon in the link or storage `name`, in the process `pid`."""

    what: str
    name: str
    vcon_uuid: str
    pid: int


class Ledger:
    """Queries on the ledger; every method reads the file again."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the plugins' option of the same name."""
        self._file = folder / LEDGER

    def lines(self) -> list[Line]:
        """All events, oldest first."""
        text = self._file.read_text() if self._file.exists() else ""
        return [_line(*words.split()) for words in text.splitlines()]

    def calls(self, link: str) -> Counter[str]:
        """The number of link calls per vCon."""
        return Counter(
            line.vcon_uuid for line in self.lines() if (line.what, line.name) == ("began", link)
        )

    def began_in(self, vcon_uuid: str) -> list[int]:
        """The ids of the processes that called links with a vCon, in order."""
        return [
            line.pid
            for line in self.lines()
            if line.what == "began" and line.vcon_uuid == vcon_uuid
        ]

    def noted(self, what: str, name: str) -> Set[str]:
        """The vCons with this event."""
        return {line.vcon_uuid for line in self.lines() if (line.what, line.name) == (what, name)}

    def bare(self) -> Set[str]:
        """The vCons whose last save in a storage was without what the links had done.

        A worker that has lost its run with Redis may save an older document; the run is repeated.
        """
        marked: set[Line] = set()
        last: dict[tuple[str, str], bool] = {}
        for line in self.lines():
            if line.what == "bare":
                marked.add(line)
            elif line.what == "saved":
                bare = Line("bare", line.name, line.vcon_uuid, line.pid)
                last[line.vcon_uuid, line.name] = bare in marked
                marked.discard(bare)
        return {vcon_uuid for (vcon_uuid, _), is_bare in last.items() if is_bare}

    def saved(self) -> dict[str, frozenset[str]]:
        """The storages that saved each vCon."""
        storages: defaultdict[str, set[str]] = defaultdict(set)
        for line in self.lines():
            if line.what == "saved":
                storages[line.vcon_uuid].add(line.name)
        return {vcon_uuid: frozenset(names) for vcon_uuid, names in storages.items()}


def _line(what: str, name: str, vcon_uuid: str, pid: str) -> Line:
    return Line(what, name, vcon_uuid, int(pid))
