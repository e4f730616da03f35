"""Dataverse's Web API in miniature, and the login of Microsoft Entra ID before it.

It has one table, and the rules of the Web API for it: headers, filters, names and types of columns,
lengths, keys, and tokens that expire.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

from tests.canaries import canary
from tests.integration.support.http_stand_in import Refused, Request, StandIn, stand_in

TENANT, CLIENT = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"
SECRET = canary("secret-of-the-application-c7d4")
TABLE, PRIMARY = "vcon_storages", "vcon_storageid"
TEXTS = {"vcon_uuid": 100, "vcon_data": 1_048_576, "vcon_subject": 100}
MOMENT = "vcon_created_at"
COLUMNS = {*TEXTS, MOMENT, PRIMARY, "modifiedon", "createdon"}
GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
LOGIN = "login.microsoftonline.com"
"""The login's host, whose name Microsoft's library has in its code."""
SCOPE = re.compile(r"https?://[^/]+/\.default")
"""Of any environment: a proxy before this one has another address."""
DATE_TIME_OFFSET = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?(?:Z|[+-]\d\d:\d\d)"
)
"""OData's `dateTimeOffsetValue`."""
FILTER = re.compile(r"(\w+) eq '((?:[^']|'')*)'")
PLACE = re.compile(rf"/api/data/v9\.\d+/(\w+)(?:\((?:({GUID})|(\w+)='((?:[^']|'')*)')\))?")

type Row = dict[str, Any]


class Answer(Refused):
    """An answer with this status, which need not be a refusal."""


def refuse(status: int, code: str, message: str) -> Refused:
    """An error in the form of the Web API."""
    return Refused(status, {"error": {"code": code, "message": message}})


class DataverseStandIn(StandIn):
    """Its rows by primary key, and the tokens that are valid."""

    def __init__(self, *, alternate_key: bool = False) -> None:
        super().__init__()
        self.alternate_key = alternate_key
        self.rows: dict[str, Row] = {}
        self.tokens: set[str] = set()
        self.seconds: Any = 3599
        self._changes = 0

    @property
    def options(self) -> dict[str, Any]:
        """What the storage needs."""
        login = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": SECRET}
        where = {"url": self.base, "authority": self.base, "entity_name": TABLE}
        return {**login, **where, "alternate_key": self.alternate_key, "backoff": 0.001}

    def vcons(self) -> list[dict[str, Any]]:
        """The vCons of all rows."""
        return [json.loads(row["vcon_data"]) for row in self.rows.values()]

    def put(self, row: Row) -> str:
        """Add a row as another program does; its primary key."""
        return self._written(str(uuid4()), row)

    def reply_to(self, request: Request) -> bytes:
        """What a request is answered with."""
        path = urlsplit(request.path).path
        if path == f"/{TENANT}/oauth2/v2.0/token":
            return self._token(request)
        if path == f"/{TENANT}/v2.0/.well-known/openid-configuration":
            return _login()
        self._check_head(request)
        if not (place := PLACE.fullmatch(unquote(path))) or place[1] != TABLE:
            raise refuse(404, "0x8006088a", f"Resource not found for the segment '{path}'.")
        if place[2] is None and place[3] is None:
            return self._several(request)
        return self._one(request, self._key_of(place))

    def _token(self, request: Request) -> bytes:
        form = dict(parse_qsl(request.body.decode()))
        kind = request.headers.get("content-type")
        if request.method != "POST" or kind != "application/x-www-form-urlencoded":
            raise Refused(400, {"error": "invalid_request", "error_description": "AADSTS900144"})
        if form["grant_type"] != "client_credentials" or not SCOPE.fullmatch(form["scope"]):
            raise Refused(400, {"error": "invalid_scope", "error_description": "AADSTS1002012"})
        if (form["client_id"], form["client_secret"]) != (CLIENT, SECRET):
            raise Refused(401, {"error": "invalid_client", "error_description": "AADSTS7000215"})
        token = canary(f"token-of-dataverse-{uuid4()}")
        self.tokens.add(token)
        answer = {"token_type": "Bearer", "expires_in": self.seconds, "access_token": token}
        return json.dumps(answer).encode()

    def _check_head(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            raise Refused(401, None, www_authenticate="Bearer")
        wanted = {"odata-version": "4.0", "odata-maxversion": "4.0"}
        if not wanted.items() <= request.headers.items():
            raise refuse(400, "0x0", "The OData headers are missing.")
        if len(request.path) > 32_768:
            raise refuse(414, "0x0", "The URL is too long.")

    def _key_of(self, place: re.Match[str]) -> str:
        if place[2]:
            return place[2]
        if not self.alternate_key or place[3] != "vcon_uuid":
            raise refuse(400, "0x80060888", "The specified key properties are not a key.")
        found = [key for key, row in self.rows.items() if row["vcon_uuid"] == place[4]]
        return found[0] if found else f"vcon_uuid={place[4]}"

    def _several(self, request: Request) -> bytes:
        if request.method == "POST":
            _check_row(request)
            raise Answer(204, None, OData_EntityId=f"{self.base}/{TABLE}({self.put(request.json)})")
        if request.method != "GET":
            raise refuse(405, "0x0", "Use GET or POST.")
        query = _query(request)
        if unknown := query.keys() - {"$select", "$filter", "$orderby", "$top"}:
            raise refuse(400, "0x0", f"The query parameter {min(unknown)} is not supported.")
        wanted = FILTER.fullmatch(query["$filter"])
        if not wanted or wanted[1] not in COLUMNS:
            raise refuse(400, "0x80060888", f"Syntax error at position 0 in '{query['$filter']}'.")
        rows = [row for row in self.rows.values() if row[wanted[1]] == wanted[2]]
        column, _, order = query.get("$orderby", PRIMARY).partition(" ")
        rows.sort(key=lambda row: row[column], reverse=order == "desc")
        rows = rows[: int(query.get("$top", 5000))]
        return json.dumps({"value": [_selected(row, query["$select"]) for row in rows]}).encode()

    def _one(self, request: Request, key: str) -> bytes:
        if request.method == "PATCH":
            _check_row(request)
            given = request.json | (
                {"vcon_uuid": key.partition("=")[2]} if key.startswith("vcon_uuid=") else {}
            )
            place = self._written(str(uuid4()) if "=" in key else key, given)
            raise Answer(204, None, OData_EntityId=f"{self.base}/{TABLE}({place})")
        if key not in self.rows:
            raise refuse(404, "0x80040217", f"Entity 'vcon_storage' With Id = {key} Does Not Exist")
        if request.method == "DELETE":
            del self.rows[key]
            raise Answer(204)
        query = _query(request)
        return json.dumps(_selected(self.rows[key], query["$select"])).encode()

    def _written(self, key: str, given: Row) -> str:
        self._changes += 1
        now = f"2026-11-30T00:00:{self._changes:02}Z"
        empty = dict.fromkeys(COLUMNS) | {"createdon": now}
        row = {**empty, **self.rows.get(key, {}), **given, PRIMARY: key, "modifiedon": now}
        if self.alternate_key and any(
            row["vcon_uuid"] == each["vcon_uuid"] and key != each[PRIMARY]
            for each in self.rows.values()
        ):
            raise refuse(412, "0x80060892", "A record with matching key values already exists.")
        self.rows[key] = row
        return key


def _login() -> bytes:
    """Where the login is, as its documents about itself tell."""
    base = f"https://{LOGIN}/{TENANT}"
    where = {"issuer": f"{base}/v2.0", "token_endpoint": f"{base}/oauth2/v2.0/token"}
    return json.dumps(where | {"authorization_endpoint": f"{base}/oauth2/v2.0/authorize"}).encode()


def _query(request: Request) -> dict[str, str]:
    """The query options; a `+` is no space in a URL of OData."""
    pairs = (each.split("=", 1) for each in urlsplit(request.path).query.split("&") if each)
    return {unquote(name): unquote(value) for name, value in pairs}


def _selected(row: Row, names: str) -> Row:
    """The primary key always comes in addition."""
    if unknown := set(names.split(",")) - COLUMNS:
        raise refuse(400, "0x80060888", f"Could not find a property named '{min(unknown)}'")
    return {"@odata.etag": 'W/"1"', PRIMARY: row[PRIMARY]} | {
        name: row[name] for name in names.split(",")
    }


def _check_row(request: Request) -> None:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise refuse(400, "0x0", "A body must be JSON.")
    for name, value in request.json.items():
        if name not in COLUMNS - {"modifiedon", "createdon", PRIMARY}:
            raise refuse(400, "0x80048d19", f"Invalid property '{name}' was found")
        if name in TEXTS and value is not None:
            _check_text(name, value)
        if name == MOMENT and value is not None:
            _check_moment(value)


def _check_text(name: str, value: str) -> None:
    if len(value.encode("utf-16-le")) // 2 > TEXTS[name]:
        text = f"The length of the '{name}' attribute of the 'vcon_storage' entity exceeded the "
        raise refuse(400, "0x80044331", f"{text}maximum allowed length of '{TEXTS[name]}'.")


def _check_moment(value: str) -> None:
    if not DATE_TIME_OFFSET.fullmatch(value):
        raise refuse(
            400, "0x80048d19", f"Cannot convert the literal '{value}' to the type DateTime"
        )
    if datetime.fromisoformat(value).year < 1753:
        raise refuse(400, "0x80040239", "DateTime is less than minumum value supported by CrmDate")


@contextmanager
def dataverse(**how: Any) -> Iterator[DataverseStandIn]:
    """The environment and the login on one free port."""
    with stand_in(DataverseStandIn(**how)) as server:
        yield server
