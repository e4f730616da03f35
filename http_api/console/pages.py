"""All pages of the console."""

from pydantic import TypeAdapter
from starlette.responses import Response

from core.errors import UnknownNameError
from http_api.console import changes, sign_in
from http_api.console.static_files import static_answer
from http_api.console.views import (
    administration,
    erasures,
    failures,
    law,
    overview,
    vcons,
    work,
)
from http_api.console.visit import Entry, Page, Visit

_NAME = TypeAdapter(str)


async def static_file(visit: Visit) -> Response:
    """A file that the pages load."""
    name = visit.request.path_value("name", _NAME)
    answer = static_answer(name)
    if answer is None:
        raise UnknownNameError("file", name[:100])
    return answer


LONG = 600.0
"""Seconds of what may take long: erasing many vCons, trying a configuration."""

PAGES = (
    Page("GET", "/console/static/{name}", static_file, Entry.OPEN),
    Page("GET", "/console/sign-in", sign_in.sign_in_page, Entry.OPEN),
    Page("POST", "/console/sign-in", sign_in.sign_in, Entry.OPEN),
    Page("GET", "/console/sign-out", sign_in.sign_out_page),
    Page("POST", "/console/sign-out", sign_in.sign_out),
    Page("GET", "/console/change/{operation}", changes.form_page, Entry.OPERATOR),
    Page("POST", "/console/change/{operation}/form", changes.filled_form, Entry.OPERATOR),
    Page("POST", "/console/change/{operation}", changes.carry_out, Entry.OPERATOR, seconds=LONG),
    Page("GET", "/console", overview.page),
    Page("GET", "/console/live", overview.live),
    Page("GET", "/console/running", work.running),
    Page("GET", "/console/failures", failures.page),
    Page("GET", "/console/failures/{cause}", failures.cause),
    Page("GET", "/console/replays", failures.replays),
    Page("GET", "/console/steps", work.steps),
    Page("GET", "/console/destinations", work.destinations),
    Page("GET", "/console/withheld", law.withheld),
    Page("GET", "/console/ledger", law.ledger),
    Page("GET", "/console/ledger/check", law.ledger_check, Entry.OPERATOR, seconds=LONG),
    Page("GET", "/console/partners", work.partners),
    Page("GET", "/console/keys", work.keys),
    Page("GET", "/console/search", vcons.search_page),
    Page("POST", "/console/search", vcons.search),
    Page("GET", "/console/vcon/{vcon_uuid}", vcons.vcon),
    Page("GET", "/console/vcon/{vcon_uuid}/content", vcons.content),
    Page("GET", "/console/vcon/{vcon_uuid}/custody", law.custody),
    Page("GET", "/console/vcon/{vcon_uuid}/signatures", law.signatures),
    Page("GET", "/console/vcon/{vcon_uuid}/json", vcons.document),
    Page("GET", "/console/vcon/{vcon_uuid}/recording/{number}", vcons.recording),
    Page("GET", "/console/erasures", erasures.page),
    Page("GET", "/console/erasures/{erasure_id}", erasures.one),
    Page("GET", "/console/erasures/{erasure_id}/statement", erasures.statement),
    Page("GET", "/console/configuration", administration.configuration),
    Page(
        "POST",
        "/console/configuration",
        administration.compare,
        Entry.OPERATOR,  # it starts a process
        most_bytes=4 * administration.MOST_CONFIGURATION,
    ),
    Page(
        "POST",
        "/console/configuration/try",
        administration.attempt,
        Entry.OPERATOR,
        most_bytes=4 * administration.MOST_CONFIGURATION,
        seconds=LONG,
    ),
    Page("GET", "/console/replicas", administration.replicas),
    Page("GET", "/console/audit", administration.audit),
)
