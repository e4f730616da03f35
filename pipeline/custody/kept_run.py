"""The checkpoint of a run whose vCon custody does not have as it is now. No I/O."""

from typing import Any


def with_document_of(run: dict[str, Any], vcon_uuid: str) -> dict[str, Any]:
    """The run as it goes on if only this vCon is kept: from the start, if a link has replaced it.

    Steps that must not be repeated are no longer known as done then, so they get the mark of a step
    that has begun (`pipeline/runs/marks.py`).
    """
    if run["vcon_out"] == vcon_uuid:
        return run
    done = [_mark(at, step) for at, step in enumerate(run["steps"]) if _is_done_once(step)]
    begun = [*run.get("begun", ()), *done]
    found = {**run, "vcon_out": vcon_uuid, "steps": [], "begun": begun}
    found.pop("untraced", None)
    if not begun:
        del found["begun"]
    return found


def _is_done_once(step: dict[str, Any]) -> bool:
    return step.get("effect") == "once" and step["outcome"] == "ok"


def _mark(index: int, step: dict[str, Any]) -> dict[str, Any]:
    return {"kind": step["kind"], "name": step["name"], "index": index, "at": "an earlier time"}
