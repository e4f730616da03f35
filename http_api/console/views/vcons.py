"""Finding the vCons of a person, and what happened to one vCon.

What is searched for is sent as a form, so that numbers and names are in no address, history or log
of a proxy.
"""

from starlette.responses import Response

from core.errors import InvalidError
from http_api.console.forms import chosen
from http_api.console.visit import Visit, redirect, texts_of
from schemas.uuids import canonical_uuid

KINDS = (("tel", "Phone number"), ("mail", "Mail address"), ("name", "Name"), ("uuid", "vCon"))


async def search_page(visit: Visit) -> Response:
    """The form."""
    return visit.page("search.html", found=None, kinds=KINDS, kind="tel", value="", problems=[])


async def search(visit: Visit) -> Response:
    """The vCons that were found."""
    kind, value = visit.form.get("kind", ""), visit.form.get("value", "").strip()
    if kind == "uuid" and (uuid := canonical_uuid(value)):
        return redirect(f"/console/vcon/{uuid}")
    found, problems = None, ["This is no uuid of a vCon"]
    try:
        if kind != "uuid":
            arguments = {kind: value} | chosen(visit.form, "cursor", "limit")
            found, problems = await visit.perform("find", arguments), []
    except InvalidError as error:
        problems = texts_of(error)
    status = 400 if problems else 200
    return visit.page(
        "search.html", status, found=found, kinds=KINDS, kind=kind, value=value, problems=problems
    )
