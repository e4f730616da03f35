"""What runs and what waits, where the time goes, and what partners send."""

from starlette.responses import Response

from http_api.console.visit import Visit

MINUTES = (("60", "the last hour"), ("30", "30 minutes"), ("10", "10 minutes"), ("5", "5 minutes"))


async def running(visit: Visit) -> Response:
    """What runs now, and what waits, and for what."""
    found = await visit.perform("running", visit.chosen("chain", "limit"))
    template = "running_live.html" if visit.is_fragment else "running.html"
    return visit.page(template, found=found)


async def steps(visit: Visit) -> Response:
    """Where the time goes."""
    found = await visit.perform("slow", visit.chosen("minutes", "chain", "limit"))
    return visit.page("steps.html", found=found, choices=MINUTES)


async def destinations(visit: Visit) -> Response:
    """The servers that steps call, and what waits for them."""
    return visit.page("destinations.html", found=await visit.perform("destinations"))


async def partners(visit: Visit) -> Response:
    """What each partner sends: the last hour, and today beside yesterday."""
    found = await visit.perform("partners", visit.chosen("ingress_list", "limit"))
    return visit.page("partners.html", found=found)


async def keys(visit: Visit) -> Response:
    """Partners' keys, with the forms to create, replace and end one."""
    found = await visit.perform("keys_list", visit.chosen("ingress_list"))
    return visit.page("keys.html", found=found)
