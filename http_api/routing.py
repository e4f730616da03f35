"""The table of routes, and the route of a path."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response
from starlette.routing import compile_path

from http_api.request import Request

type Handler = Callable[[Request[Any]], Awaitable[Response]]


class Access(Enum):
    """Who may call a route."""

    OPEN = "open"
    TOKEN = "token"  # noqa: S105 -- a kind, not a token
    """The holder of an API token."""
    PARTNER = "partner"
    """The holder of an ingress key, which the handler verifies."""


class Query(BaseModel):
    """The query parameters of a route; each field is one, a list is given repeatedly."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class BodyKind(Enum):
    """The content of a request's body, for the description of the API."""

    NONE = "none"
    VCON = "vcon"
    UUIDS = "uuids"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path, without the prefix; `{vcon_uuid}` in it is a UUID.

    `answers`: what each status means, the first one is that of success.
    """

    method: str
    path: str
    handler: Handler
    answers: Mapping[int, str]
    summary: str
    access: Access = Access.TOKEN
    query: type[Query] = Query
    body: BodyKind = BodyKind.NONE
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers that it reads, besides that of the token, each with its meaning."""
    always: bool = False
    """Answered even while API_MAX_CONCURRENCY requests are in work."""
    head: bool = True
    """Whether HEAD is answered as GET: not where GET changes what it reads."""


class Routed(Protocol):
    """One method of one path: a `Route`, or a page of the console."""

    @property
    def method(self) -> str:
        """The method in capitals."""
        ...

    @property
    def path(self) -> str:
        """The path; `{name}` in it is a parameter."""
        ...

    @property
    def head(self) -> bool:
        """Whether HEAD is answered as GET."""
        ...


class Found[R: Routed](NamedTuple):
    """`route` is None if the path has other methods only: those of `methods`."""

    route: R | None
    values: Mapping[str, str]
    methods: Iterable[str]


class Router[R: Routed]:
    """Finds routes: fixed paths before those with parameters."""

    def __init__(self, routes: Iterable[R], prefix: str) -> None:
        """Each path is known with `prefix`, which has no slash at its end, and without it."""
        self._prefix = prefix
        self._fixed: dict[str, dict[str, R]] = {}
        by_pattern: dict[str, dict[str, R]] = {}
        for route in routes:
            paths = by_pattern if "{" in route.path else self._fixed
            paths.setdefault(route.path, {})[route.method] = route
        self._patterns = [(compile_path(path)[0], methods) for path, methods in by_pattern.items()]

    def find(self, method: str, path: str) -> Found[R] | None:
        """The route; None if there is no such path."""
        for each in self._forms(path):
            if each in self._fixed:
                return _of(self._fixed[each], method, {})
            for pattern, methods in self._patterns:
                if match := pattern.match(each):
                    return _of(methods, method, match.groupdict())
        return None

    def _forms(self, path: str) -> Iterable[str]:
        prefix = self._prefix
        if prefix and path.startswith(prefix) and path[len(prefix) :].startswith("/"):
            yield path[len(prefix) :]
        yield path


def _of[R: Routed](methods: Mapping[str, R], method: str, values: Mapping[str, str]) -> Found[R]:
    route = methods.get("GET" if method == "HEAD" else method)
    if route and method == "HEAD" and not route.head:
        route = None
    return Found(route, values, methods)
