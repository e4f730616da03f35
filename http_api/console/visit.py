"""One request of the console: who sent it, what it may do, and the answers to it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from starlette.responses import Response

from core.errors import ForbiddenError, UnknownNameError
from core.observability.redaction import KNOWN
from core.operator_interfaces import Call
from http_api.console.credentials import Credentials, Role
from http_api.console.forms import MOST_FORM_BYTES, chosen
from http_api.console.protection import HEADERS, Browser, form_token
from http_api.console.rendering import render
from http_api.console.throttle import Throttle
from http_api.request import Request
from schemas.ingress_key import Author

HTML = "text/html"
READ_ONLY = "This session is read-only. Sign in with the password of an operator to change anything"
NO_PEOPLE = "This session does not see data about people (CONSOLE_PEOPLE)"
MOST_TEXTS = 20
"""Problems that one page names."""
_UUID = TypeAdapter(UUID)


NAVIGATION = (
    ("/console", "Overview", "status"),
    ("/console/running", "Running", "running"),
    ("/console/failures", "Failures", "failures"),
    ("/console/steps", "Steps", "slow"),
    ("/console/destinations", "Destinations", "destinations"),
    ("/console/withheld", "Withheld", "withheld"),
    ("/console/ledger", "Ledger", "ledger"),
    ("/console/partners", "Partners", "partners"),
    ("/console/search", "Search", "find"),
    ("/console/erasures", "Erasures", "erasures"),
    ("/console/configuration", "Configuration", "config_diff"),
    ("/console/replicas", "Replicas", "replicas"),
    ("/console/audit", "Audit", "audit"),
)
"""The pages that each page leads to: path, label, and the operation that it shows."""


class Entry(Enum):
    """Who may open a page."""

    OPEN = "open"
    SESSION = "session"
    """Every session."""
    OPERATOR = "operator"
    """Sessions of operators."""


@dataclass(frozen=True, slots=True)
class Page:
    """One method of one path."""

    method: str
    path: str
    handler: "Callable[[Visit], Awaitable[Response]]"
    entry: Entry = Entry.SESSION
    head: bool = True
    most_bytes: int = MOST_FORM_BYTES
    """Bytes of the form that it takes."""
    seconds: float = 20.0
    """How long it may take; then 504."""


class Session(NamedTuple):
    """An open session."""

    secret: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Doors:
    """What is shared by all requests."""

    credentials: Credentials
    throttle: Throttle
    people: str
    """Who sees data about people: `operator`, `all` or `none`."""
    trusts_proxy: bool


@dataclass(slots=True)
class Visit:
    """One request; `query` and `form` are its fields."""

    request: Request[Any]
    doors: Doors
    browser: Browser
    session: Session | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_fragment(self) -> bool:
        """Whether htmx asks for a part of a page."""
        return self.request.header("hx-request") == "true"

    @property
    def is_operator(self) -> bool:
        """Whether this session may change things."""
        return self.session is not None and self.session.role is Role.OPERATOR

    @property
    def sees_people(self) -> bool:
        """Whether this session may see data about people."""
        people = self.doors.people
        return self.session is not None and (
            people == "all" or (people == "operator" and self.is_operator)
        )

    def uuid(self, name: str) -> str:
        """A uuid of the path, in canonical form.

        Raises:
            ParametersError: it is none.
        """
        return str(self.request.path_value(name, _UUID))

    def chosen(self, *names: str) -> dict[str, str]:
        """Those of these query parameters that are not empty, as arguments of an operation."""
        return chosen(self.query, *names)

    def offers(self, operation: str) -> bool:
        """Whether this process has the operation, and this session may call it."""
        known = self.request.pipeline.operator.operations.get(operation)
        if known is None or not known.remote:
            return False
        return (self.is_operator or not known.changes) and (self.sees_people or not known.people)

    async def perform(
        self, operation: str, arguments: Mapping[str, Any] | None = None, reason: str = ""
    ) -> Any:
        """The result of an operation that the role may call.

        Raises:
            ForbiddenError: it may not; also what the operation raises.
        """
        operator = self.request.pipeline.operator
        known = operator.operations.get(operation)
        if known is None or not known.remote:
            raise UnknownNameError("operation", operation)
        if known.changes and not self.is_operator:
            raise ForbiddenError(READ_ONLY)
        if known.people and not self.sees_people:
            raise ForbiddenError(NO_PEOPLE)
        name = self.session.name if self.session else ""
        call = Call(Author(actor=f"console:{name}"), reason)
        found: BaseModel = await operator.perform(operation, arguments or {}, call)
        return found

    def page(self, template: str, code: int = 200, /, **values: Any) -> Response:
        """A whole page, or with a template of a part that part."""
        secret = self.session.secret if self.session else None
        shared = {
            "visit": self,
            "nav": NAVIGATION,
            "path": self.request.scope["path"],
            "form_token": form_token(secret) if secret else "",
            "version": self.request.settings.vcon_server_version,
        }
        return Response(render(template, shared | values), code, HEADERS, HTML)


def texts_of(error: Exception) -> list[str]:
    """What was wrong, a text for each problem."""
    told = getattr(error, "problems", None) or [str(error)]
    return [KNOWN.sentence(text) for text in told[:MOST_TEXTS]]


def redirect(address: str, cookie: str | None = None) -> Response:
    """The browser goes on to a path of the console, which is made of known characters."""
    headers = HEADERS | {"Location": address} | ({"Set-Cookie": cookie} if cookie else {})
    return Response(status_code=303, headers=headers)
