"""The law of conversations: what it withholds."""

from starlette.responses import Response

from http_api.console.visit import Visit


async def withheld(visit: Visit) -> Response:
    """VCons whose law does not allow their next step."""
    found = await visit.perform("withheld", visit.chosen("list_name", "limit", "cursor"))
    return visit.page("withheld.html", found=found)
