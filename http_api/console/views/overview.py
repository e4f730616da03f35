"""Whether everything moves: the banner, the strip and the chains, alone or in the whole page."""

from typing import Any

from starlette.responses import Response

from http_api.console.visit import Visit

TRENDS = {
    "idle": "gray",
    "steady": "green",
    "draining": "green",
    "growing": "yellow",
    "paused": "yellow",
    "disabled": "gray",
    "stuck": "red",
}
"""The colour of each trend of a chain."""
LEVELS = {
    "green": "All is well",
    "yellow": "Look at this soon",
    "red": "Act now",
}


async def page(visit: Visit) -> Response:
    """The whole page."""
    return visit.page("overview.html", **await _shown(visit))


async def live(visit: Visit) -> Response:
    """The part that changes by itself."""
    return visit.page("overview_live.html", **await _shown(visit))


async def _shown(visit: Visit) -> dict[str, Any]:
    """The result, and what the templates need beside it."""
    status = await visit.perform("status", visit.chosen("chain"))
    replicas = status.replicas
    expiries = [each.token_expires_at for each in replicas if each.token_expires_at]
    return {
        "status": status,
        "trends": TRENDS,
        "headline": LEVELS[status.level],
        "hashes": sorted({each.config_hash for each in replicas if each.config_hash}),
        "versions": sorted({each.version for each in replicas if each.version}),
        "token_expires": min(expiries, default=None),
    }
