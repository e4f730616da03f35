"""Every route answers what the OpenAPI document declares: statuses, and bodies by their schemas."""

from __future__ import annotations

from typing import Any

import httpx
from jsonschema import Draft202012Validator

from http_api.description.answer_table import EXAMPLE
from http_api.description.openapi import TAGS, document
from http_api.routes import ROUTES
from http_api.routing import Router
from tests.integration.http_api.contract import ROWS
from tests.integration.http_api.http_scene import HEADER, TOKEN, Served
from tests.unit.support.settings_of_the_api import settings_with

KEY = "key-of-a-partner-1"
DESCRIBED = [
    (route.method, route.path)
    for route in ROUTES
    if route.handler.__module__.rpartition(".")[2] in TAGS
]
ORDER = {"/vcon/external-ingress": -1, "/config": 1}
"""Partners first, whose vCon must be theirs; last what changes the lists of the scene."""

VALUES = {"egress_list": "out", "storage_name": "files"}
"""Values of required parameters; others are an ingress list of the scene."""
BESIDES = {"/vcons/search": {"tel": "+15551234567"}}
"""Parameters that are not required by themselves."""


class Declared:
    """One operation of the document, and requests made from it."""

    def __init__(self, made: dict[str, Any], method: str, path: str) -> None:
        self.method, self.path = method, path
        self.operation = made["paths"][path][method.lower()]
        self.components = made["components"]

    def parameters(self, place: str) -> list[dict[str, Any]]:
        """Its parameters in the path, the query or the headers."""
        return [each for each in self.operation["parameters"] if each["in"] == place]

    def target(self, uuid: str) -> str:
        """Its path with values."""
        return self.path.replace("{vcon_uuid}", uuid)

    def query(self) -> dict[str, str]:
        """The parameters that it requires."""
        names = [each["name"] for each in self.parameters("query") if each["required"]]
        return {name: VALUES.get(name, "in") for name in names} | BESIDES.get(self.path, {})

    def body(self) -> Any:
        """The example of its body."""
        content = self.operation.get("requestBody", {}).get("content", {})
        return content.get("application/json", {}).get("example")

    def check(self, answer: httpx.Response, *, success: bool = False) -> None:
        """The status is declared, and the body is of the type declared for it."""
        assert answer.is_success or not success, answer.text
        declared = self.operation["responses"].get(str(answer.status_code))
        assert declared, f"{self.method} {self.path} answered {answer.status_code}: {answer.text}"
        content = declared.get("content", {}).get("application/json")
        if content is None:
            assert answer.content == b"", answer.text
            return
        schema = content["schema"] | {"components": self.components}
        Draft202012Validator(schema).validate(answer.json())
        if answer.status_code in (404, 415):
            given, shown = (
                each["detail"].split(";")[0] for each in (answer.json(), content["example"])
            )
            assert given == shown  # what is known differs
        assert ("Retry-After" in declared.get("headers", {})) == ("retry-after" in answer.headers)


CHANGES: list[dict[str, Any]] = [
    {"params": {}},
    {"json": "nope"},
    {"headers": {HEADER: "nope"}},
    {"json": None, "content": b"nope", "headers": {"content-encoding": "gzip"}},
    {"json": None, "content": b"nope", "headers": {"content-encoding": "br"}},
]
"""What is done to a valid request."""


async def test_every_route_answers_as_declared(http: httpx.AsyncClient) -> None:
    """Its examples, and requests that lack a part of it or have a wrong one."""
    made = (await http.get("/openapi.json")).json()
    for method, path in sorted(DESCRIBED, key=lambda each: ORDER.get(each[1], 0)):
        await answers_as_declared(http, Declared(made, method, path))


async def answers_as_declared(http: httpx.AsyncClient, declared: Declared) -> None:
    """One route."""
    is_partner = declared.operation["security"] == [{"partner": []}]
    headers = {HEADER: KEY} if is_partner else {}
    if not is_partner:  # a partner may not replace what came in with the token
        await http.post("/vcon", json=EXAMPLE)
    method, target = declared.method, declared.target(EXAMPLE["uuid"])
    whole: dict[str, Any] = {"params": declared.query(), "json": declared.body()}
    declared.check(await http.request(method, target, headers=headers, **whole), success=True)
    declared.check(await http.request(method, declared.target("nope"), headers=headers, **whole))
    names = [each["name"] for each in declared.parameters("query")]
    for change in [*CHANGES, *({"params": declared.query() | {name: "nope"}} for name in names)]:
        request = whole | change
        request["headers"] = headers | request.get("headers", {})
        declared.check(await http.request(method, target, **request))


async def test_the_document_says_how_the_api_is_reached(served: Served) -> None:
    """Swagger UI sends the token in this header to this server; both are those of the settings."""
    async with served.http(None) as stranger:
        made = (await stranger.get("/openapi.json")).json()
        base, header = made["servers"][0]["url"], made["components"]["securitySchemes"]["token"]
        path = f"{base}/vcon/{EXAMPLE['uuid']}"
        assert (await stranger.get(path)).status_code == 403
        assert (await stranger.get(path, headers={header["name"]: TOKEN})).status_code == 404


def test_every_status_of_the_contract_is_declared() -> None:
    """What the rows of the contract answer is in the document, of those paths that it has."""
    router = Router(ROUTES, "")
    made = document(ROUTES, settings_with(), is_open=False)["paths"]
    undeclared = set()
    for row in ROWS:
        method, path = row.request.partition("?")[0].split()
        found = router.find(method, path)
        if found and found.route and found.route.path in made:
            declared = made[found.route.path][found.route.method.lower()]["responses"]
            if str(row.status) not in declared:
                undeclared.add((row.request, row.status))
    assert undeclared == set()
