"""Erasures under the law: the list, one with its destinations, and its statement as a file."""

from starlette.responses import Response

from core.errors import UnknownNameError
from http_api.console.protection import HEADERS
from http_api.console.visit import Visit
from schemas.law.erasures import EXCEPTIONS

STATES = {
    "requested": "gray",
    "held": "yellow",
    "running": "green",
    "waiting": "yellow",
    "manual": "yellow",
    "complete": "green",
    "complete_with_exceptions": "red",
}
"""The colour of each state of an erasure."""
PLACES = {
    "pending": "yellow",
    "deleted": "green",
    "verified": "green",
    "acknowledged": "green",
    **dict.fromkeys(EXCEPTIONS, "red"),
    "told": "yellow",
}
"""The colour of each state of a destination."""
ANSWERED = ("pending", "told", "cannot", "unreachable", "acknowledged")
"""States of destinations for which an answer can be noted, or corrected."""


async def page(visit: Visit) -> Response:
    """Erasures, newest first."""
    found = await visit.perform("erasures", visit.chosen("open_only", "limit", "cursor"))
    return visit.page("erasures.html", found=found, states=STATES)


async def one(visit: Visit) -> Response:
    """One erasure with its destinations."""
    found = await visit.perform("erasure", {"id": visit.uuid("erasure_id")})
    shown = {"states": STATES, "places": PLACES, "answered": ANSWERED}
    return visit.page("erasure.html", found=found, **shown)


async def statement(visit: Visit) -> Response:
    """The signed statement, to keep and to hand out.

    Raises:
        UnknownNameError: the erasure has not ended, or there was no key to sign with.
    """
    found = await visit.perform("erasure", {"id": visit.uuid("erasure_id")})
    if not found.statement:
        raise UnknownNameError("statement of erasure", found.id)
    headers = HEADERS | {
        "Content-Disposition": f'attachment; filename="erasure-{found.id}.jws"',
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    }
    return Response(f"{found.statement}\n", headers=headers, media_type="application/jose")
