"""The HTTP API of vcon-server as an ASGI application.

A request goes through these steps: prefix and route, token, query parameters, handler. An error of
any step becomes an answer of `http_api.errors`. A partner's key is verified by the pipeline, before
the body is read further.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from core.interfaces import Pipeline
from core.observability.metrics import HTTP_REQUESTS
from core.observability.tracing import installed, request_span
from core.secrets.console_passwords import ConsolePasswords
from core.settings import Settings
from http_api.answers import CUSTODY_HEADER
from http_api.authentication import REFUSED, Tokens
from http_api.console.console import ROOT, Console
from http_api.description.openapi import encoded
from http_api.errors import answer_to, refusal
from http_api.request import Context, Request, read_query
from http_api.routes import ROUTES
from http_api.routing import Access, BodyKind, Route, Router
from http_api.serving.admission import Admission
from http_api.serving.body import BodyMemory, DisconnectedError, MemoryShare

log = logging.getLogger(__name__)

NO_ROUTE = "none"
"""The route in metrics of requests for paths that do not exist."""
TRACEPARENT = "traceparent"
DISCONNECTED = 499
"""The status in metrics of requests whose client did not wait for the answer."""


class Application:
    """Answers requests for the routes of `http_api.routes`."""

    def __init__(
        self,
        pipeline: Pipeline,
        settings: Settings,
        tokens: Collection[str],
        passwords: ConsolePasswords = ConsolePasswords(),  # noqa: B008 -- a constant
    ) -> None:
        """`tokens` are those that open the API; empty admits every request.

        `passwords` open the console, and so do the tokens.
        """
        self._tokens = Tokens(tokens)
        openapi = encoded(ROUTES, settings, is_open=self._tokens.are_none)
        self._context = Context(pipeline, settings, openapi)
        has_console = settings.console
        self._console = Console(self._context, tokens, passwords) if has_console else None
        self._router = Router(ROUTES, settings.api_root_path)
        self._prefix = settings.api_root_path
        self._token_header = settings.conserver_header_name.lower()
        self._version = [
            (b"x-vcon-server-version", settings.vcon_server_version.encode("latin-1", "replace")),
            (b"x-vcon-server-commit", settings.vcon_server_git_commit.encode("latin-1", "replace")),
        ]
        self._memory = BodyMemory(settings.api_max_request_memory)
        self._admission = Admission(settings.api_max_concurrency)
        self._rate_limited = int(settings.api_rate_limited_status)
        self._access_log = settings.api_access_log
        self._has_traces = installed() is not None
        self._for_browsers = with_cors(self._serve, settings.api_cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        is_of_browser = any(name == b"origin" for name, _ in scope["headers"])
        if is_of_browser and not _is_of_console(scope["path"]):  # its pages are for no other site
            await self._for_browsers(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        name, status = NO_ROUTE, DISCONNECTED
        try:
            with self._memory.share() as memory:
                name, response = await self._answer(scope, receive, memory)
                response.raw_headers.extend(self._version)
                await response(scope, receive, send)
                status = response.status_code
        except DisconnectedError:
            pass
        finally:
            seconds = time.perf_counter() - began
            HTTP_REQUESTS.ended((name, status), seconds)
            if self._access_log:
                action = f"{scope['method']} {name}"  # no parameters, which may be secret
                about = {"action": action, "status": status, "seconds": round(seconds, 6)}
                log.info("HTTP request", extra=about)

    async def _answer(
        self, scope: Scope, receive: Receive, memory: MemoryShare
    ) -> tuple[str, Response]:
        """The route's path, and the answer."""
        if self._console and _is_of_console(scope["path"]):
            return await self._console.answer(scope, receive, memory)
        found = self._router.find(scope["method"], scope["path"])
        if found is None:
            return NO_ROUTE, self._no_path(scope)
        if found.route is None:
            allowed = {"Allow": ", ".join(sorted(found.methods))}
            return NO_ROUTE, refusal(405, "Method Not Allowed", allowed)
        with self._admission.place() as place:
            request = Request[Any](scope, receive, found.values, self._context, memory, place)
            return found.route.path, await self._traced(request, found.route)

    async def _traced(self, request: Request[Any], route: Route) -> Response:
        traceparent = request.header(TRACEPARENT)
        if traceparent is None and not self._has_traces:
            return await self._handled(request, route)
        about = {"http.request.method": route.method, "http.route": route.path}
        with request_span(f"http.{route.method} {route.path}", about, traceparent) as span:
            response = await self._handled(request, route)
            if span is not None:
                span.say("http.response.status_code", response.status_code)
            if span is not None and response.status_code >= 500:
                span.failed(str(response.status_code))
        return response

    def _no_path(self, scope: Scope) -> Response:
        path = scope["path"].rstrip("/")
        if path != scope["path"] and self._router.find(scope["method"], path):
            query = scope["query_string"].decode("latin-1")
            return RedirectResponse(f"{path}?{query}" if query else path)
        return refusal(404, "Not Found")

    async def _handled(self, request: Request[Any], route: Route) -> Response:
        is_admitted = route.access is not Access.TOKEN or self._tokens.admit(
            request.header(self._token_header)
        )
        if not is_admitted:
            return refusal(403, REFUSED)
        try:
            request.query = read_query(request.scope, route.query)
            if route.body is BodyKind.NONE and not route.always:  # else after its body
                await request.place.take()
            return await route.handler(request)
        except DisconnectedError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                raise
            return answer_to(error, f"{route.method} {route.path}", self._rate_limited)


def _is_of_console(path: str) -> bool:
    return path.startswith(ROOT) and path[len(ROOT) :][:1] in ("", "/")


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def with_cors(app: ASGIApp, origins: str) -> ASGIApp:
    """`app` with the CORS headers of vcon-server, for these origins (with commas, or `*`)."""
    allowed = [each.strip() for each in origins.split(",") if each.strip()]
    if not allowed:
        return app
    return CORSMiddleware(
        app,
        allow_origins=allowed,
        allow_methods=["*"],
        allow_headers=["*"],
        allow_credentials=True,
        expose_headers=[
            *("X-Vcon-Server-Version", "X-Vcon-Server-Commit"),
            *("Retry-After", CUSTODY_HEADER),
        ],
    )
