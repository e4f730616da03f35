"""The OpenAPI 3.1 document of the HTTP API, made at the start from the table of routes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import orjson
from pydantic import TypeAdapter

from core.settings import Settings
from http_api.answers import CUSTODY_HEADER
from http_api.description.answer_table import (
    ANSWERS,
    OBJECT,
    PING,
    PROBLEMS,
    UUID_OF_EXAMPLE,
    UUIDS,
    VCON,
    Answer,
    refusal,
)
from http_api.routing import Access, BodyKind, Route

TITLE = "Patchcord HTTP API"
DESCRIPTION = """\
The HTTP API of vcon-server: takes vCons in, queues them for chains, and reads vCons, lists and dead
letters. Every path also answers without the prefix.

Bodies are read as JSON under any content type. After 503 and 429 the same request can be
sent again, after the seconds in `Retry-After`. After every other status from 400 to 499 it would
fail again: `detail` names what to change.
"""

TAGS: Mapping[str, tuple[str, str]] = {
    "ingest": ("Ingest", "Storing and queueing vCons."),
    "vcons": ("vCons", "Reading, listing, searching and deleting vCons."),
    "lists": ("Lists", "Egress lists, and the lengths of lists."),
    "dead_letters": ("Dead letters", "What failed for good, and queueing it again."),
    "configuration": ("Configuration", "The running configuration, and its file."),
    "about": ("About", "Version and health."),
}
"""The groups of routes by the module of their handlers; others, such as `/docs`, are left out."""

BODIES: Mapping[BodyKind, Answer] = {
    BodyKind.VCON: VCON,
    BodyKind.UUIDS: UUIDS,
    BodyKind.OBJECT: OBJECT,
}

RETRY_AFTER = {
    "Retry-After": {"description": "Seconds until the next try.", "schema": {"type": "integer"}}
}
CUSTODY = {
    CUSTODY_HEADER: {
        "description": "`redis`: Postgres is away, and Redis alone keeps the vCon.",
        "schema": {"type": "string", "enum": ["redis"]},
    }
}

_REFERENCE = "#/components/schemas/{model}"
_PATH_VALUE = re.compile(r"{(\w+)}")


def encoded(routes: Iterable[Route], settings: Settings, *, is_open: bool) -> bytes:
    """The document as JSON; `is_open`: no route needs a token."""
    return orjson.dumps(document(routes, settings, is_open=is_open))


def document(routes: Iterable[Route], settings: Settings, *, is_open: bool) -> dict[str, Any]:
    """The document; `is_open`: no route needs a token."""
    described = [route for route in routes if _module(route) in TAGS]
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        operation = _operation(route, schemas, is_open=is_open)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "description": DESCRIPTION,
            "version": settings.vcon_server_version,
        },
        "servers": [{"url": settings.api_root_path or "/"}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.values()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.definitions.items())),
            "securitySchemes": _schemes(settings.conserver_header_name),
        },
    }


def _schemes(header: str) -> dict[str, Any]:
    scheme = {"type": "apiKey", "in": "header", "name": header}
    return {
        Access.TOKEN.value: scheme | {"description": "A token of the API."},
        Access.PARTNER.value: scheme | {"description": "A partner's key for one ingress list."},
    }


@cache
def _schema(kind: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The schema of a type, and those of the models in it: most stand in several answers."""
    schemas, found = TypeAdapter.json_schemas(
        [("it", "validation", TypeAdapter(kind))], ref_template=_REFERENCE
    )
    return schemas["it", "validation"], found.get("$defs", {})


class _Schemas:
    """Schemas of types; those of models are collected, to be referred to."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type."""
        schema, definitions = _schema(kind)
        self.definitions |= definitions
        return dict(schema)

    def content(self, answer: Answer) -> dict[str, Any]:
        """The content of a body, with its example."""
        return {answer.media_type: {"schema": self.of(answer.kind), "example": answer.example}}


def _operation(route: Route, schemas: _Schemas, *, is_open: bool) -> dict[str, Any]:
    operation = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [TAGS[_module(route)][0]],
        "security": _security(route.access, is_open=is_open),
        "parameters": list(_parameters(route)),
        "responses": dict(_responses(route, schemas)),
    }
    if route.body in BODIES:
        body = {"required": True, "content": schemas.content(BODIES[route.body])}
        operation["requestBody"] = body
    return operation


def _module(route: Route) -> str:
    return route.handler.__module__.rpartition(".")[2]


def operation_id(route: Route) -> str:
    """A name that depends on the method and the path only."""
    path = _PATH_VALUE.sub(r"by_\1", route.path.strip("/"))
    return f"{route.method.lower()}_{re.sub(r'[^a-z0-9]+', '_', path)}"


def _security(access: Access, *, is_open: bool) -> list[dict[str, list[str]]]:
    if access is Access.OPEN or (access is Access.TOKEN and is_open):
        return []
    return [{access.value: []}]


def _parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name in _PATH_VALUE.findall(route.path):
        given = {"schema": {"type": "string", "format": "uuid"}, "example": UUID_OF_EXAMPLE}
        yield {"name": name, "in": "path", "required": True, **given}
    model = route.query.model_json_schema()
    for name, schema in model.get("properties", {}).items():
        yield _parameter(name, schema, required=name in model.get("required", ()))
    for name, words in route.headers.items():
        yield {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}


def _parameter(name: str, schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    """A query parameter: null is no value of one, and its title repeats its name."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in _NOT_OF_PARAMETERS}
    plain = {**kinds[0], **rest} if len(kinds) == 1 else {**rest, **_any_of(kinds)}
    if plain.get("default", ...) is None:
        del plain["default"]
    found = {"name": name, "in": "query", "required": required, "schema": plain}
    return found | ({"description": schema["description"]} if "description" in schema else {})


_NOT_OF_PARAMETERS = ("title", "description", "anyOf")


def _any_of(kinds: list[dict[str, Any]]) -> dict[str, Any]:
    return {"anyOf": kinds} if kinds else {}


def _responses(route: Route, schemas: _Schemas) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, words in sorted((_common(route) | dict(route.answers)).items()):
        response: dict[str, Any] = {"description": words}
        if answer := _answer(route, status):
            response["content"] = schemas.content(answer)
        if status in (429, 503):
            response["headers"] = RETRY_AFTER
        elif route.body is BodyKind.VCON and status in (201, 204):
            response["headers"] = CUSTODY
        yield str(status), response


def _answer(route: Route, status: int) -> Answer | None:
    """The body of a status; None without one."""
    name = f"{route.method} {route.path}"
    if status == 422:
        return PROBLEMS
    if status >= 400:
        return refusal(name, status)
    return ANSWERS.get(name) if status == next(iter(route.answers)) else PING


def _common(route: Route) -> dict[int, str]:
    """The statuses that a route has because of its kind."""
    found = {500: "An error of the service; its operator finds it by the number in `detail`."}
    if route.access is Access.TOKEN:
        found[403] = "The token is missing or wrong."
    if route.access is Access.PARTNER:
        found |= {403: "There is no key, or it is not one for this list.", 429: _TOO_MANY}
    if route.body is not BodyKind.NONE:
        found |= _OF_BODIES
    if route.body is not BodyKind.NONE or route.query.model_fields or "{" in route.path:
        found[422] = "Parameters or the body are not valid."
    if not route.always:
        found[503] = "Redis is unavailable, or too much is in work. Send the request again."
    return found


_TOO_MANY = "The key's limit of requests is reached, or the list had too many wrong keys."
_OF_BODIES = {
    400: "The body cannot be unpacked.",
    413: "The body is larger than MAX_VCON_BYTES, packed or unpacked.",
    415: "The Content-Encoding is another one than gzip and deflate.",
}
