"""What a row of custody puts into Redis for each of its places."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from core.db.custody_reading import KeptRow
from core.observability.storable_text import storable_json
from core.run_ids import new_run_id
from pipeline.config.lists import claimed_lists, lists_of
from pipeline.config.parser import PipelineConfig
from pipeline.redis_client import keys
from schemas.run import MARKED


class Place(NamedTuple):
    """The words of `queue_again.lua` about one place."""

    place: str
    kind: str
    list_name: str = ""
    element: str = ""
    attempts: str = ""
    """Attempts that are used up, and the run, a line each."""
    journal: bytes = b""
    reason: bytes = b""


class Placing:
    """Knows the lists of a configuration."""

    def __init__(self, config: PipelineConfig) -> None:
        self._chains = {
            name: chain.name for chain in config.chains.values() for name in claimed_lists(chain)
        }
        self.handed_out = frozenset(lists_of(config).handed_out)

    def of(self, row: KeptRow, place: str) -> Place:
        """What this place of a row becomes."""
        state, uuid = row.state or {}, str(row.vcon_uuid)
        if place == "":
            return Place(place, "none")
        if place.startswith(keys.DEAD_LETTERS):
            run = state.get("run")
            letter = Place(place, "dead", place, uuid, reason=_json(state.get("reason") or {}))
            return letter._replace(**_resumed(run)) if run else letter
        if place in self.handed_out:
            return Place(place, "egress", place, uuid)
        name, _, run_id = place.partition("|")
        is_run = place.startswith(keys.RUN_LIST) and run_id != ""
        element = f"{uuid}|{run_id}" if is_run else uuid
        kind = "list" if row.state is not None or row.run_id is not None else "new"
        journal = state if "run_id" in state else self._begun(row, name)
        if journal is None:
            return Place(place, kind, name if is_run else place, element)
        return Place(place, kind, name if is_run else place, element, **_resumed(journal))

    def _begun(self, row: KeptRow, name: str) -> dict[str, Any] | None:
        """A run that has not begun; None if no chain reads the list."""
        if (chain := self._chains.get(name)) is None:
            return None
        uuid = str(row.vcon_uuid)
        return {
            "run_id": new_run_id(),
            "chain": chain,
            "vcon_in": uuid,
            "vcon_out": uuid,
            "status": "queued",
            "ingress_list": None if name.startswith(keys.RUN_LIST) else name,
            "attempts": 0,
            "steps": [],
            "error": None,
            "worker": None,
            "config_hash": "",
            "queued_at": row.accepted_at.isoformat().replace("+00:00", "Z"),
            "started_at": None,
            "finished_at": None,
        }


def _resumed(run: Mapping[str, Any]) -> dict[str, Any]:
    """The run as it goes on, marked as recovered."""
    attempts = int(run.get("attempts") or 0) % MARKED
    used = 0 if run.get("status") == "queued" else attempts
    return {
        "attempts": f"{used + MARKED if run.get('begun') else used}\n{run['run_id']}",
        "journal": _json({**run, "attempts": attempts, "recovered": True}),
    }


def _json(value: Mapping[str, Any]) -> bytes:
    return storable_json(value)
