"""How a run ends, as a value: what is forwarded, what is a dead letter, and why."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.observability.storable_text import storable_json
from pipeline.redis_client import keys
from pipeline.runs import plan
from pipeline.runs.queues import Settlement
from pipeline.runs.run_state import RunState


def settlement_of(live: RunState, ending: plan.Ending) -> Settlement:
    """What Redis is to do at the end of a run."""
    return Settlement(
        record=live.record(ending),
        saved=bool(live.progress.saved),
        egress_lists=live.chain.egress_lists if ending == "done" else (),
        dead_letters=_dead_letters(live, ending),
        context=live.context,
    )


def _dead_letters(live: RunState, ending: plan.Ending) -> list[tuple[str, str]]:
    if ending == "failed":
        letters = keys.dead_letters(live.claim.list_name)
        return [(letters, _reason(live, live.progress.error, _failed_link(live)))]
    return [
        (keys.storage_dead_letters(step["name"]), _reason(live, step["error"], step))
        for step in live.steps
        if ending == "partial" and step["kind"] == "storage" and step["outcome"] == "failed"
    ]


def _failed_link(live: RunState) -> Mapping[str, Any]:
    last = live.steps[-1] if live.steps else {}
    return last if last.get("outcome") == "failed" else {}


def _reason(live: RunState, error: str | None, step: Mapping[str, Any]) -> str:
    """The JSON beside a dead letter, in the shape of `schemas.dead_letter.DeadLetter`."""
    kind, name = step.get("kind"), step.get("name")
    return storable_json(
        {
            "error": error,
            "cause": _cause(kind, name, error),
            "step": name,
            "kind": kind,
            "attempts": live.attempts,
            "chain": live.chain.name,
            "list_name": live.claim.list_name,
            "run_id": live.claim.run_id,
            "worker": live.worker,
            "at": datetime.now(UTC).isoformat(),
        }
    ).decode()


def _cause(kind: str | None, name: str | None, error: str | None) -> str:
    """The same words for failures of one kind: where, and the type of the error."""
    what = (error or "").partition(":")[0]
    return f"{kind} {name}: {what}" if kind else (error or "unknown")
