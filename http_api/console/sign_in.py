"""Signing in and out."""

import logging
import re

from starlette.responses import Response

from http_api.console.credentials import Credential
from http_api.console.protection import new_secret
from http_api.console.visit import Visit, redirect

log = logging.getLogger(__name__)

HOME = "/console"
LONGEST_SECRET = 1000
LONGEST_NAME = 60
WRONG = "This password or token does not open the console."
NAMELESS = (
    f"Enter your name, in 1 to {LONGEST_NAME} characters: the audit keeps it with each change."
)
_DOTS = r"(?:\.|%2[eE]){1,2}"
"""A segment that browsers take out of a path, with the one before it."""
_OWN_PATH = re.compile(
    rf"/console(?:/(?!{_DOTS}(?:[/?]|$))[A-Za-z0-9._~%-]+)*(?:\?[A-Za-z0-9._~%=&+-]*)?"
)
LONGEST_PATH = 500


def own_path(text: str) -> str:
    """The text if it is a path of the console, to go on to; else the path of the overview."""
    is_own = len(text) <= LONGEST_PATH and _OWN_PATH.fullmatch(text)
    return text if is_own and not text.startswith("/console/sign-") else HOME


async def sign_in_page(visit: Visit) -> Response:
    """The form."""
    return _form(visit, own_path(visit.query.get("next", "")))


def _form(visit: Visit, after: str, status: int = 200, problem: str = "") -> Response:
    name = visit.form.get("name", "")[:LONGEST_NAME]
    return visit.page("sign_in.html", status, after=after, problem=problem, name=name)


async def sign_in(visit: Visit) -> Response:
    """Begin a session, under a new cookie."""
    after = own_path(visit.form.get("next", ""))
    name = visit.form.get("name", "").strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        return _form(visit, after, 400, NAMELESS)
    secret = visit.form.get("secret", "")[:LONGEST_SECRET]
    credential = visit.doors.credentials.given(secret)  # always, so that the time tells nothing
    address, throttle = visit.browser.address, visit.doors.throttle
    wait = throttle.wait(address)
    if wait and not (credential and credential.is_unguessable):
        text = f"Too many wrong passwords; try again in {wait} seconds."
        answer = _form(visit, after, 429, text)
        answer.headers["Retry-After"] = str(wait)
        return answer
    if credential is None:
        throttle.failed(address)
        log.warning("console sign-in refused", extra={"status": 403})
        return _form(visit, after, 403, WRONG)
    throttle.succeeded(address)
    return await _begin(visit, credential, name, after)


async def _begin(visit: Visit, credential: Credential, name: str, after: str) -> Response:
    sessions = visit.request.pipeline.console_sessions
    if before := visit.browser.secret:
        await sessions.end(before)
    secret = new_secret()
    await sessions.begin(secret, name, credential.proof(secret))
    log.info("console sign-in", extra={"action": credential.role.value})
    return redirect(after, visit.browser.cookie(secret))


async def sign_out_page(visit: Visit) -> Response:
    """The form."""
    return visit.page("sign_out.html")


async def sign_out(visit: Visit) -> Response:
    """End this session, or with the field `everywhere` those of all replicas."""
    sessions = visit.request.pipeline.console_sessions
    assert visit.session is not None
    if visit.form.get("everywhere") and visit.is_operator:
        count = await sessions.end_all()
        log.info("console sessions ended", extra={"count": count})
    await sessions.end(visit.session.secret)
    return redirect("/console/sign-in", visit.browser.cookie(""))
