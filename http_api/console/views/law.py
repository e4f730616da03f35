"""The law of conversations: what it withholds, and the ledger of where vCons went."""

from starlette.responses import Response

from http_api.console.visit import Visit


async def withheld(visit: Visit) -> Response:
    """VCons whose law does not allow their next step."""
    found = await visit.perform("withheld", visit.chosen("list_name", "limit", "cursor"))
    return visit.page("withheld.html", found=found)


async def ledger(visit: Visit) -> Response:
    """How far the ledger is, and its last checkpoints."""
    return visit.page("ledger.html", found=await visit.perform("ledger"), check=None)


async def ledger_check(visit: Visit) -> Response:
    """What a check of the whole ledger finds."""
    found = await visit.perform("ledger")
    number, _, digest = visit.query.get("checkpoint", "").strip().partition(":")
    kept = {"seq": number, "hash": digest} if number or digest else {}
    check = await visit.perform("ledger_verify", kept)
    return visit.page("ledger.html", found=found, check=check)


async def signatures(visit: Visit) -> Response:
    """Who signed one vCon, and whether that is right and trusted now."""
    uuid = visit.uuid("vcon_uuid")
    found = await visit.perform("verify", {"vcon_uuid": uuid})
    return visit.page("signatures.html", found=found, uuid=uuid)


async def custody(visit: Visit) -> Response:
    """Where one vCon went."""
    page = visit.chosen("after_delivery", "after_event", "limit")
    found = await visit.perform("custody", {"vcon_uuid": visit.uuid("vcon_uuid"), **page})
    return visit.page("custody.html", found=found, last=2**62)
