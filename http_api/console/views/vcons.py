"""Finding the vCons of a person, and what happened to one vCon.

What is searched for is sent as a form, so that numbers and names are in no address, history or log
of a proxy.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from pydantic import Field, TypeAdapter
from starlette.responses import Response

from core.concurrency.thread_pool import in_own_thread
from core.errors import ForbiddenError, InvalidError
from http_api.console.charts import Bar, Tick, timeline
from http_api.console.forms import chosen
from http_api.console.protection import HEADERS
from http_api.console.vcon_text import recording_of, text_of_vcon
from http_api.console.visit import NO_PEOPLE, Visit, redirect, texts_of
from schemas.uuids import canonical_uuid

_NUMBER: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=0, le=1_000_000)])
MOST_DRAWN = 20
"""Runs of a vCon whose steps are drawn, the newest."""
WIDTH = 320
STATES = {
    "unknown": "gray",
    "erased": "gray",
    "running": "green",
    "retrying": "yellow",
    "locked": "yellow",
    "paused": "yellow",
    "queued": "green",
    "failed": "red",
    "withheld": "yellow",
    "waiting for a reader": "green",
    "finished": "green",
    "idle": "gray",
}
"""The colour of each state of a vCon."""

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


async def vcon(visit: Visit) -> Response:
    """What happened to one vCon, and where it is."""
    uuid = visit.uuid("vcon_uuid")
    found = await visit.perform("timeline", {"vcon_uuid": uuid})
    drawn = [_drawn(run.run_id, found.events) for run in found.runs[:MOST_DRAWN]]
    runs = list(zip(found.runs, drawn, strict=False))
    return visit.page("vcon.html", found=found, uuid=uuid, runs=runs, states=STATES)


def _drawn(run_id: str, events: Sequence[Any]) -> list[tuple[Any, Bar, Sequence[Tick]]]:
    """The steps of a run, each with its bar, to one scale."""
    steps = [each for each in events if each.run == run_id and each.what in ("link", "storage")]
    begins = [each.at.timestamp() for each in steps]
    ends = [begin + (step.seconds or 0) for begin, step in zip(begins, steps, strict=True)]
    drawn = timeline(list(zip(begins, ends, strict=True)), WIDTH)
    return [(step, bar, drawn.ticks) for step, bar in zip(steps, drawn.bars, strict=True)]


async def _document(visit: Visit) -> dict[str, Any]:
    if not visit.sees_people:
        raise ForbiddenError(NO_PEOPLE)
    return await visit.request.pipeline.find_vcon(visit.uuid("vcon_uuid"), None)


async def content(visit: Visit) -> Response:
    """The parties, dialogs and analyses as text."""
    shown = text_of_vcon(await _document(visit))
    template = "vcon_content.html" if visit.is_fragment else "vcon_content_page.html"
    return visit.page(template, uuid=visit.uuid("vcon_uuid"), shown=shown)


async def document(visit: Visit) -> Response:
    """The vCon as JSON, to keep."""
    found = await _document(visit)
    text = await in_own_thread(orjson.dumps, found, option=orjson.OPT_INDENT_2)
    return _file(text, "application/json", f"{visit.uuid('vcon_uuid')}.json")


async def recording(visit: Visit) -> Response:
    """The recording of one dialog, to keep or to listen to."""
    number = visit.request.path_value("number", _NUMBER)
    found, media = await in_own_thread(recording_of, await _document(visit), number)
    kind = media.partition("/")[2]
    return _file(found, media, f"{visit.uuid('vcon_uuid')}-{number}.{kind}")


def _file(body: bytes, media: str, name: str) -> Response:
    """A file that a browser keeps; all characters of the headers are known."""
    headers = HEADERS | {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    }
    return Response(body, headers=headers, media_type=media)
