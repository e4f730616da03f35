"""Failures by cause, one cause with examples, and replays with their progress."""

from typing import Any

from pydantic import TypeAdapter
from starlette.responses import Response

from http_api.console.visit import Visit

_NAME = TypeAdapter(str)
STATES = {
    "counted": "gray",
    "canary": "yellow",
    "running": "yellow",
    "done": "green",
    "stopped": "gray",
    "canary failed": "red",
    "failing again": "red",
}
"""The colour of each state of a replay."""


GOING_ON = ("canary", "running")


async def page(visit: Visit) -> Response:
    """The causes, and the replays."""
    found = await visit.perform("failures", visit.chosen("list_name", "storage", "cause", "limit"))
    return visit.page("failures.html", found=found, **await _replays(visit))


async def replays(visit: Visit) -> Response:
    """The replays alone, which change by themselves."""
    return visit.page("replays_live.html", **await _replays(visit))


async def _replays(visit: Visit) -> dict[str, Any]:
    found = await visit.perform("replays")
    goes_on = any(each.ended is None and each.state in GOING_ON for each in found.replays)
    return {"replays": found, "states": STATES, "going_on": GOING_ON, "goes_on": goes_on}


async def cause(visit: Visit) -> Response:
    """One cause with its newest dead letters, and the errors as they are."""
    name = visit.request.path_value("cause", _NAME)
    found = await visit.perform("failure", {"cause": name} | visit.chosen("limit"))
    return visit.page("cause.html", found=found)
