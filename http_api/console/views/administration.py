"""Replicas, and the audit."""

from starlette.responses import Response

from http_api.console.visit import Visit


async def replicas(visit: Visit) -> Response:
    """The processes, what each holds, and which are drained."""
    found = await visit.perform("replicas", visit.chosen("replica", "held"))
    return visit.page("replicas.html", found=found)


async def audit(visit: Visit) -> Response:
    """Who changed what, and why; newest first."""
    arguments = visit.chosen("since", "before", "limit")
    found = await visit.perform("audit", arguments)
    return visit.page("audit.html", found=found, limit=int(arguments.get("limit", 50)))
