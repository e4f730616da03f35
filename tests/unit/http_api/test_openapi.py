"""The OpenAPI document: valid, complete, and at least what vcon-server has."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from http_api.description.answer_table import ANSWERS
from http_api.description.openapi import TAGS, document, encoded
from http_api.routes import ROUTES
from tests.unit.support.settings_of_the_api import settings_with

OF_VCON_SERVER = """
GET /version
GET /health
GET /stats/queue list_name!
GET /vcon page=1 size=50 since until
GET /vcon/egress egress_list! limit=1
GET /vcon/count egress_list!
GET /vcon/{vcon_uuid}
DELETE /vcon/{vcon_uuid}
GET /vcons vcon_uuids
GET /vcons/search tel mailto name
POST /vcon ingress_lists
POST /vcon/external-ingress ingress_list!
POST /vcon/ingress ingress_list!
GET /config
POST /config
GET /dlq ingress_list!
POST /dlq/reprocess ingress_list! count=1000
GET /dlq/storage storage_name!
POST /dlq/storage/reprocess storage_name! count=1000
GET /index_vcons
"""
"""Its routes with their parameters; `!`: required, `=`: the default."""
OPEN = {"/version", "/health", "/stats/queue"}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The document as it is sent."""
    found: dict[str, Any] = orjson.loads(encoded(ROUTES, settings_with(), is_open=False))
    return found


def operations(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The operations by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in made["paths"].items()
        for method, operation in methods.items()
    }


def test_it_is_valid(made: dict[str, Any]) -> None:
    """By the schema of OpenAPI 3.1."""
    OpenAPIV31SpecValidator(made).validate()


@pytest.mark.parametrize("line", OF_VCON_SERVER.strip().splitlines())
def test_it_has_what_vcon_server_has(made: dict[str, Any], line: str) -> None:
    """Each route with its parameters; nothing is required that vcon-server does not require."""
    method, path, *words = line.split()
    operation = operations(made)[f"{method} {path}"]
    found = {each["name"]: each for each in operation["parameters"] if each["in"] == "query"}
    theirs = dict(re.fullmatch(r"(\w+)(.*)", word).groups() for word in words)  # type: ignore[union-attr]
    assert theirs.keys() <= found.keys()
    for name, parameter in found.items():
        assert not parameter["required"] or theirs.get(name) == "!"
    for name, mark in theirs.items():
        if mark.startswith("="):
            assert found[name]["schema"]["default"] == int(mark[1:])
    assert ("security" in operation and operation["security"] == []) == (path in OPEN)


def test_every_route_is_described() -> None:
    """Each one has a body of success with a type, or none; the pages are left out."""
    described = [route for route in ROUTES if route.handler.__module__.split(".")[-1] in TAGS]
    left_out = {route.path for route in ROUTES if route not in described}
    assert left_out == {"/docs", "/docs/{name}", "/redoc", "/openapi.json"}
    with_body = {
        f"{route.method} {route.path}" for route in described if next(iter(route.answers)) != 204
    }
    assert with_body == ANSWERS.keys()


def test_every_example_is_of_its_type(made: dict[str, Any]) -> None:
    """In bodies of requests and of answers."""
    checked = 0
    for operation in operations(made).values():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for content in body.get("content", {}).values():
                schema = content["schema"] | {"components": made["components"]}
                Draft202012Validator(schema).validate(content["example"])
                checked += 1
    assert checked > len(made["paths"])


def test_operations_have_lasting_names(made: dict[str, Any]) -> None:
    """Clients are generated from them: each is unique, and made of method and path only."""
    names = {key: operation["operationId"] for key, operation in operations(made).items()}
    assert len(set(names.values())) == len(names)
    assert names["GET /vcon/{vcon_uuid}"] == "get_vcon_by_vcon_uuid"
    assert all(re.fullmatch(r"[a-z][a-z0-9_]+", name) for name in names.values())


@pytest.mark.parametrize(("prefix", "url"), [("/api", "/api"), ("/a/b/", "/a/b"), ("", "/")])
def test_it_names_the_prefix_and_the_header(prefix: str, url: str) -> None:
    """Callers reach the API where it is, with the header that is configured."""
    settings = settings_with(api_root_path=prefix, conserver_header_name="X-My-Token")
    made = document(ROUTES, settings, is_open=False)
    assert made["servers"] == [{"url": url}]
    schemes = made["components"]["securitySchemes"]
    assert {(each["in"], each["name"]) for each in schemes.values()} == {("header", "X-My-Token")}
    assert operations(made)["POST /vcon"]["security"] == [{"token": []}]


def test_an_open_api_asks_for_no_token() -> None:
    """With API_OPEN and without tokens."""
    made = document(ROUTES, settings_with(), is_open=True)
    assert operations(made)["POST /vcon"]["security"] == []
