"""Utopia's REST API for documents, with its rules."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from email.parser import BytesParser
from email.policy import HTTP
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.integration.support.http_stand_in import Refused, Request, StandIn

BASE = "/api/v1"
KB = "11111111-1111-4111-8111-111111111111"
LARGEST = 100 * 1024 * 1024


def refuse(status: int, code: str) -> Refused:
    """An error in Utopia's form."""
    return Refused(status, {"error": {"code": code, "message": code.replace("_", " ")}})


class Utopia(StandIn):
    """One knowledge base and one account with the role Editor.

    A content that a live document has is skipped; one that a deleted document has revives it.
    """

    def __init__(self, email: str = "svc@example.com", password: str = "password") -> None:
        super().__init__()
        self.email, self.password = email, password
        self.tokens: set[str] = set()
        self.logins = 0
        self.documents: dict[str, dict[str, Any]] = {}
        self._lock = Lock()

    @property
    def options(self) -> dict[str, Any]:
        """Options of the storage."""
        access = {"email": self.email, "password": self.password, "kb_id": KB}
        quick = {"transient_backoff_base_s": 0.001, "timeout": 30}
        return {**access, **quick, "base_url": f"{self.url}{BASE}"}

    @property
    def live(self) -> list[dict[str, Any]]:
        """The documents that are not deleted."""
        return [each for each in self.documents.values() if not each["deleted"]]

    def put(self, name: str, content: bytes) -> None:
        """Add a document as another process does."""
        self._created(name, content, "text/markdown")

    def reply_to(self, request: Request) -> bytes:
        """The answer to one call."""
        with self._lock:
            path = urlsplit(request.path).path.removeprefix(f"{BASE}/")
            if path == "auth/login" and request.method == "POST":
                return json.dumps(self._login(request)).encode()
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme != "Bearer" or token not in self.tokens:
                raise refuse(401, "unauthorized")
            return json.dumps(self._replied(request, path)).encode()

    def _login(self, request: Request) -> dict[str, Any]:
        account = request.json
        if (account.get("email"), account.get("password")) != (self.email, self.password):
            raise refuse(401, "unauthorized")
        self.logins += 1
        token = f"token-{self.logins}"
        self.tokens.add(token)
        return {"user": {"email": self.email}, "token": token}

    def _replied(self, request: Request, path: str) -> Any:
        documents = f"kbs/{KB}/documents"
        if path == documents and request.method == "GET":
            return self._page(parse_qs(urlsplit(request.path).query))
        if path == documents and request.method == "POST":
            return self._upload(request)
        if found := re.fullmatch(r"documents/([0-9a-f-]{36})", path):
            if request.method != "DELETE" or found[1] not in self.documents:
                raise refuse(404, "not_found")
            self.documents[found[1]]["deleted"] = True
            return {"ok": True, "deletion_id": found[1], "invalidated_facts": 0}
        raise refuse(404, "not_found")

    def _page(self, query: dict[str, list[str]]) -> Any:
        wanted, limit = query.get("q", [""])[0], int(query.get("limit", ["15"])[0])
        found = [each for each in self.live if wanted in each["filename"]]
        shown = [{n: v for n, v in each.items() if n != "content"} for each in found]
        return {"docs": shown[: max(1, min(limit, 200))], "total": len(found)}

    def _upload(self, request: Request) -> Any:
        if len(request.body) > LARGEST:
            raise refuse(413, "payload_too_large")
        kind = request.headers.get("content-type", "")
        if not kind.startswith("multipart/form-data; boundary="):
            raise refuse(400, "bad_upload")
        whole = f"content-type: {kind}\r\n\r\n".encode() + request.body
        created, skipped = [], []
        for part in BytesParser(policy=HTTP).parsebytes(whole).iter_parts():
            name, content = part.get_filename(), part.get_payload(decode=True)
            assert isinstance(content, bytes)
            if not name:
                continue
            document = self._created(name, content, part.get_content_type())
            (created if document else skipped).append(document or {"filename": name})
        if not created and not skipped:
            raise refuse(400, "no_files")
        return {"created": created, "skipped": skipped}

    def _created(self, name: str, content: bytes, mime: str) -> dict[str, Any] | None:
        digest = hashlib.sha256(content).hexdigest()
        for each in self.documents.values():
            if each["sha256"] == digest:
                was_deleted, each["deleted"] = each["deleted"], False
                return {"id": each["id"], "filename": name} if was_deleted else None
        document = {"id": str(uuid.uuid4()), "filename": name, "sha256": digest, "mime": mime}
        self.documents[document["id"]] = {**document, "content": content.decode(), "deleted": False}
        return document
