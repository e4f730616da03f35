"""The console: from a request below `/console` to its page.

The steps: page, session, form, place, the form's token, handler. An error of any step becomes a
page that says what was wrong. The console has places of its own, so that it answers while the HTTP
API has no place left, and cannot take those of the API.
"""

import asyncio
import logging
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Receive, Scope

from core.errors import ForbiddenError, InvalidError, TooLateError, status_of
from core.observability.redaction import KNOWN
from core.secrets.console_passwords import ConsolePasswords
from http_api.console.credentials import Credentials, Role
from http_api.console.forms import fields_of, read_form
from http_api.console.pages import PAGES
from http_api.console.protection import HEADERS, Browser, is_form_token
from http_api.console.throttle import Throttle
from http_api.console.visit import (
    READ_ONLY,
    Doors,
    Entry,
    Page,
    Session,
    Visit,
    redirect,
    texts_of,
)
from http_api.errors import STATUSES
from http_api.request import Context, Request
from http_api.routing import Router
from http_api.serving.admission import Admission
from http_api.serving.body import DisconnectedError, MemoryShare

log = logging.getLogger(__name__)

ROOT = "/console"
MOST_AT_ONCE = 16
"""Requests in work; others wait, then 503."""
CLOSED = (
    "The console is off, because nothing opens it: set CONSOLE_PASSWORD, or CONSERVER_API_TOKEN. "
    "API_OPEN does not open it."
)
ENDED = "The session has ended; sign in, and send the form again"
NOT_OURS = "The form was not sent from a page of this console"
NOT_THIS_SESSION = "The form belongs to another session; load its page again, and send it then"


HEADINGS = {
    400: ("This cannot be read", "Go back, correct what is named, and send it again."),
    403: ("Not allowed", ""),
    404: ("Not found", ""),
    405: ("Not found", ""),
    409: ("Not possible as it is now", ""),
    410: ("Erased", ""),
    413: ("Too large", ""),
    422: ("This cannot be read", ""),
    429: ("Too many requests", "Wait a minute, and try again."),
    500: ("Something went wrong", "The other pages may work; the log says more."),
    502: ("A plugin failed", ""),
    503: (
        "Not available",
        "Redis or Postgres does not answer, or there is too much to do. On a machine with the "
        "service's settings, this says more: python entrypoint.py status",
    ),
    504: ("It takes too long", "Ask for less, such as a shorter time or fewer rows."),
}


class Console:
    """Answers requests below `/console`."""

    def __init__(
        self, context: Context, tokens: Iterable[str], passwords: ConsolePasswords
    ) -> None:
        """`tokens`: those of the HTTP API, which open the console as passwords do."""
        settings = context.settings
        self._context = context
        self._doors = Doors(
            Credentials(tokens, passwords),
            Throttle(settings.console_failed_sign_ins),
            settings.console_people,
            settings.console_trust_proxy,
        )
        self._router = Router(PAGES, "")
        self._admission = Admission(MOST_AT_ONCE)

    async def answer(
        self, scope: Scope, receive: Receive, memory: MemoryShare
    ) -> tuple[str, Response]:
        """The page's path, for metrics, and the answer."""
        found = self._router.find(scope["method"], scope["path"])
        values = found.values if found else {}
        with self._admission.place() as place:
            request = Request[Any](scope, receive, values, self._context, memory, place)
            visit = Visit(request, self._doors, Browser(request, self._doors.trusts_proxy))
            if self._doors.credentials.are_none:
                return ROOT, refused(visit, 404, CLOSED)
            if found is None and scope["path"] == f"{ROOT}/":
                return ROOT, redirect(ROOT)
            if scope["path"] == f"{ROOT}/":
                return ROOT, redirect(ROOT)
            if found is None:
                return ROOT, refused(visit, 404, "There is no such page.")
            if found.route is None:
                answer = refused(visit, 405, "The page does not take this method.")
                answer.headers["Allow"] = ", ".join(sorted(found.methods))
                return ROOT, answer
            return found.route.path, await self._handled(visit, found.route)

    async def _handled(self, visit: Visit, page: Page) -> Response:
        action = f"{page.method} {page.path}"
        try:
            async with asyncio.timeout(page.seconds):
                return await self._visited(visit, page)
        except DisconnectedError:
            raise
        except TimeoutError:
            return failed(visit, TooLateError(f"The page took over {page.seconds:.0f} s"), action)
        except Exception as error:  # noqa: BLE001 -- each becomes a page; failed() logs it
            return failed(visit, error, action)

    async def _visited(self, visit: Visit, page: Page) -> Response:
        """A form may be large: it is read when its sender has shown who that is."""
        request = visit.request
        if page.method == "POST" and not visit.browser.is_own_page:
            raise ForbiddenError(NOT_OURS)
        if page.entry is not Entry.OPEN:
            visit.session = await self._session(visit)
            if visit.session is None:
                return _to_sign_in(visit, page)
            if page.entry is Entry.OPERATOR and visit.session.role is not Role.OPERATOR:
                raise ForbiddenError(READ_ONLY)
        if page.method == "POST":
            visit.form = await read_form(request, page.most_bytes)
        await request.place.take()
        visit.query = fields_of(request.scope["query_string"])
        if page.method == "POST" and visit.session is not None:
            _check_token(visit, visit.session)
        return await page.handler(visit)

    async def _session(self, visit: Visit) -> Session | None:
        secret = visit.browser.secret
        if secret is None:
            return None
        found = await visit.request.pipeline.console_sessions.find(secret)
        if found is None:
            return None
        credential = self._doors.credentials.behind(secret, found.proof)
        return Session(secret, found.name, credential.role) if credential else None


def _check_token(visit: Visit, session: Session) -> None:
    if not is_form_token(session.secret, visit.form.get("form_token", "")):
        raise ForbiddenError(NOT_THIS_SESSION)


def _to_sign_in(visit: Visit, page: Page) -> Response:
    """The form to sign in, which leads back to the page."""
    if page.method == "POST":
        raise ForbiddenError(ENDED)
    if visit.is_fragment:  # htmx leaves the page, too
        return Response(status_code=403, headers=HEADERS | {"HX-Redirect": "/console/sign-in"})
    path = visit.request.scope["path"]
    query = visit.request.scope["query_string"].decode("latin-1")
    whole = f"{path}?{query}" if query else path
    return redirect(f"/console/sign-in?next={quote(whole, safe='', errors='replace')[:1500]}")


def failed(visit: Visit, error: Exception, action: str) -> Response:
    """The page for an error; one that is not expected gets an id, which the log has, too."""
    status = 400 if isinstance(error, InvalidError) else status_of(error, STATUSES)
    if status == 500:
        number = uuid.uuid4().hex[:12]
        log.error(
            "console page failed", exc_info=error, extra={"action": action, "incident": number}
        )
        return refused(visit, 500, f"Internal error; the log has it as incident {number}.")
    text = KNOWN.sentence(str(error))
    if status > 500:
        log.warning("request failed", extra={"action": action, "status": status, "error": text})
    return refused(visit, status, *texts_of(error))


def refused(visit: Visit, status: int, *texts: str) -> Response:
    """A page that says what was wrong."""
    heading, hint = HEADINGS.get(status, ("Something went wrong", ""))
    return visit.page(
        "refusal.html", status, heading=heading, texts=texts, hint=hint, status_code=status
    )
