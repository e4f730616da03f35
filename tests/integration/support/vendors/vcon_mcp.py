"""vCon-MCP's REST API in miniature, with its rules: keys, sizes, validation, and how it upserts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.canaries import canary
from tests.integration.support.http_stand_in import Refused, Request, StandIn, stand_in

BASE = "/api/v1"
LARGEST = 50 * 1024 * 1024
KEY, READ_ONLY = canary("key-of-vcon-mcp-76f6"), canary("read-only-key-of-vcon-mcp-644a")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
PARTS = ("parties", "dialog", "analysis", "attachments")
IDENTIFIERS = ("tel", "sip", "mailto", "name", "uuid")
ENCODINGS = ("base64url", "json", "none")
DIALOGS = ("recording", "text", "transfer", "incomplete")


class Answer(Refused):
    """An answer with this status, which need not be a refusal."""


def refuse(status: int, message: str) -> Refused:
    """An error in the form of the API."""
    return Refused(status, {"success": False, "error": "Error", "message": message})


class VconMcpStandIn(StandIn):
    """Its vCons by uuid. Before version 1.2 a uuid that exists is refused (`upserts=False`)."""

    def __init__(self, *, header: str = "authorization", upserts: bool = True) -> None:
        super().__init__()
        self.header, self.upserts = header, upserts
        self.vcons: dict[str, dict[str, Any]] = {}

    @property
    def url(self) -> str:
        """The address of the API."""
        return self.base + BASE

    @property
    def options(self) -> dict[str, Any]:
        """What the storage needs."""
        return {"base_url": self.url, "api_key": KEY, "transient_backoff_base_s": 0.001}

    def reply_to(self, request: Request) -> bytes:
        """What a request is answered with."""
        self._authorise(request)
        if (request.method, request.path) == ("POST", f"{BASE}/vcons"):
            return self._create(request)
        uuid = request.path.removeprefix(f"{BASE}/vcons/")
        if not UUID.fullmatch(uuid):
            raise refuse(400, "uuid must be a valid UUID")
        if uuid not in self.vcons:
            raise refuse(404, f"vCon with UUID {uuid} not found")
        if request.method == "DELETE":
            del self.vcons[uuid]
            return json.dumps({"success": True, "message": "deleted"}).encode()
        if request.method != "GET":
            raise refuse(405, "Method Not Allowed")
        return json.dumps({"success": True, "vcon": self.vcons[uuid]}).encode()

    def _authorise(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        token = given[7:] if given.lower().startswith("bearer ") else ""
        key = token or request.headers.get(self.header, "")
        if key not in (KEY, READ_ONLY):
            raise Refused(401, {"error": "Unauthorized", "message": "Invalid API key"})
        if key == READ_ONLY and request.method != "GET":
            raise Refused(403, {"error": "Forbidden", "message": "Read-only API key"})

    def _create(self, request: Request) -> bytes:
        if request.headers.get("content-type") != "application/json":
            raise refuse(400, "vCon must have at least one party")  # an unparsed body is empty
        if len(request.body) > LARGEST:
            raise refuse(413, "request entity too large")
        document = json.loads(request.body)
        if errors := list(_faults(document)):
            raise refuse(400, "; ".join(errors))
        uuid = document["uuid"]
        if uuid in self.vcons and not self.upserts:
            message = 'duplicate key value violates unique constraint "vcons_uuid_key"'
            raise Refused(500, {"error": "Internal Server Error", "message": message})
        self.vcons[uuid] = _upserted(self.vcons.get(uuid, {}), document)
        raise Answer(201, {"success": True, "uuid": uuid, "id": uuid, "message": "created"})


def _upserted(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Parts are replaced by their index; those with further indexes remain."""
    kept = {part: after.get(part, []) + before.get(part, [])[len(after.get(part, [])) :]
            for part in PARTS}  # fmt: skip
    return {**after, **kept}


def _faults(document: dict[str, Any]) -> Iterator[str]:
    """What its validation says of a vCon."""
    if not UUID.fullmatch(document.get("uuid", "")):
        yield "Invalid UUID format"
    if not document.get("parties"):
        yield "vCon must have at least one party"
    for part, faults in (
        ("parties", _faults_of_party),
        ("dialog", _faults_of_dialog),
        ("analysis", _faults_of_analysis),
        ("attachments", _faults_of_content),
    ):
        for index, entry in enumerate(document.get(part, ())):
            yield from faults(f"{part} {index}", entry)


def _faults_of_party(name: str, party: dict[str, Any]) -> Iterator[str]:
    if not any(party.get(each) for each in IDENTIFIERS):
        yield f"{name} has no identifier (tel, sip, mailto, name, or uuid)"


def _faults_of_dialog(name: str, entry: dict[str, Any]) -> Iterator[str]:
    if entry.get("type") not in DIALOGS:
        yield f"{name} has invalid type: {entry.get('type')}"
    if entry.get("type") == "incomplete" and not entry.get("disposition"):
        yield f"{name} is incomplete but has no disposition"
    yield from _faults_of_content(name, entry)


def _faults_of_analysis(name: str, entry: dict[str, Any]) -> Iterator[str]:
    if not entry.get("vendor"):
        yield f"{name} missing REQUIRED field: vendor"
    yield from _faults_of_content(name, entry)


def _faults_of_content(name: str, entry: dict[str, Any]) -> Iterator[str]:
    if entry.get("encoding") and entry["encoding"] not in ENCODINGS:
        yield f"{name} has invalid encoding"
    if not ({"body", "encoding"} <= entry.keys() or {"url", "content_hash"} <= entry.keys()):
        yield f"{name} must have either (body + encoding) or (url + content_hash)"


@contextmanager
def vcon_mcp(**how: Any) -> Iterator[VconMcpStandIn]:
    """The API on a free port."""
    with stand_in(VconMcpStandIn(**how)) as server:
        yield server
