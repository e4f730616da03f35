"""OpenAI's files and vector stores, with the limits that it documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.canaries import canary
from tests.integration.support.http_stand_in import Request, stand_in
from tests.integration.support.vendors.openai import OpenAI, refuse

KEY = canary("key-of-openai-ae30")
STORE = "vs_abc123"
LARGEST = 512 * 1024 * 1024
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
JSON_LINES = ("batch", "fine-tune")
NOT_GIVEN_BACK = ("assistants", "user_data")
FILE = re.compile(r"/v1/files/(file-\d+)(/content)?")
IN_STORE = re.compile(r"/v1/vector_stores/(vs_\w+)/files(?:/(file-\d+))?")

type Json = dict[str, Any]


class OpenAIFiles(OpenAI):
    """Files by id, and the vector stores with the files in them; also what `OpenAI` answers."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, Json] = {}
        self.contents: dict[str, bytes] = {}
        self.stores: dict[str, dict[str, Json]] = {STORE: {}}
        self.status = "completed"
        self.now = 1_764_500_000
        self._count = 0

    @property
    def options(self) -> Json:
        """What the storage needs, beside `OPENAI_BASE_URL`."""
        return {"api_key": KEY, "vector_store_id": STORE, "backoff": 0.001}

    def put(self, name: str, content: bytes, purpose: str = "assistants") -> str:
        """Add a file as another program does; its id."""
        self._count += 1
        made = {"id": f"file-{self._count}", "object": "file", "created_at": self.now}
        about = {"bytes": len(content), "filename": name, "purpose": purpose, "status": "processed"}
        self.files[made["id"]] = made | about
        self.contents[made["id"]] = content
        return str(made["id"])

    def reply_to(self, request: Request) -> bytes:
        """What a request is answered with."""
        path = urlsplit(request.path).path
        if path == "/v1/files":
            answer = self._upload(request) if request.method == "POST" else self._listed(request)
        elif found := FILE.fullmatch(path):
            answer = self._file(request, found[1], content=bool(found[2]))
        elif found := IN_STORE.fullmatch(path):
            answer = self._in_store(request, found[1], found[2])
        else:
            return super().reply_to(request)
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def _check_key(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise refuse(401, "invalid_api_key", "Incorrect API key provided")

    def _upload(self, request: Request) -> Json:
        self._check_key(request)
        fields = _fields(request)
        purpose, (name, content) = fields["purpose"][1].decode(), fields["file"]
        if purpose not in PURPOSES:
            raise refuse(400, "invalid_value", f"'{purpose}' is not one of {PURPOSES}")
        if len(content) > LARGEST:
            raise refuse(413, "file_too_large", "File exceeds the maximum size of 512 MB")
        if purpose in JSON_LINES and not name.endswith(".jsonl"):
            raise refuse(400, "invalid_file_format", f"Invalid file format for {purpose}")
        if not content:
            raise refuse(400, "empty_file", "File is empty")
        return self.files[self.put(name, content, purpose)]

    def _listed(self, request: Request) -> Json:
        self._check_key(request)
        query = dict(parse_qsl(urlsplit(request.path).query))
        limit = int(query.get("limit", 10_000))
        if not 1 <= limit <= 10_000 or query.get("order", "desc") != "desc":
            raise refuse(400, "invalid_value", "'limit' must be from 1 to 10000")
        found = [file for file in self.files.values() if file["purpose"] == query.get("purpose")]
        found.reverse()
        ids = [file["id"] for file in found]
        found = found[ids.index(query["after"]) + 1 if "after" in query else 0 :]
        page = found[:limit]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        return {"object": "list", "data": page, "has_more": len(found) > limit, **ends}

    def _file(self, request: Request, file: str, *, content: bool) -> Json | bytes:
        self._check_key(request)
        if file not in self.files:
            raise refuse(404, "not_found", f"No such File object: {file}")
        purpose = self.files[file]["purpose"]
        if content and purpose in NOT_GIVEN_BACK:
            message = f"Not allowed to download files of purpose: {purpose}"
            raise refuse(400, "invalid_request", message)
        if content:
            return self.contents[file]
        if request.method != "DELETE":
            return self.files[file]
        for store in self.stores.values():
            store.pop(file, None)
        del self.files[file], self.contents[file]
        return {"id": file, "object": "file", "deleted": True}

    def _in_store(self, request: Request, store: str, file: str | None) -> Json:
        self._check_key(request)
        if request.headers.get("openai-beta") != "assistants=v2":
            raise refuse(400, "invalid_beta", "You must provide the 'OpenAI-Beta' header")
        if store not in self.stores:
            raise refuse(404, "not_found", f"Vector store with id '{store}' not found.")
        if file is None:
            return self._attach(request, store)
        if file not in self.stores[store]:
            raise refuse(404, "not_found", f"No file found with id '{file}' in '{store}'.")
        if request.method == "DELETE":
            del self.stores[store][file]
            return {"id": file, "object": "vector_store.file.deleted", "deleted": True}
        return self.stores[store][file]

    def _attach(self, request: Request, store: str) -> Json:
        body = request.json
        attributes = body.get("attributes") or {}
        if body["file_id"] not in self.files:
            raise refuse(404, "not_found", f"File {body['file_id']} not found.")
        if len(attributes) > 16:
            raise refuse(400, "object_above_max_properties", "'attributes' has more than 16 keys")
        for name, value in attributes.items():
            if len(name) > 64 or (isinstance(value, str) and len(value) > 512):
                raise refuse(400, "string_above_max_length", f"'attributes.{name}' is too long")
            if not isinstance(value, str | int | float | bool):
                raise refuse(400, "invalid_type", f"'attributes.{name}' has an invalid type")
        entry = {"id": body["file_id"], "object": "vector_store.file", "created_at": self.now}
        entry |= {"vector_store_id": store, "status": self.status, "attributes": attributes}
        entry |= {"usage_bytes": 0, "last_error": None}
        self.stores[store][body["file_id"]] = entry
        return entry


def _fields(request: Request) -> dict[str, tuple[str, bytes]]:
    """The parts of a form by name, each with the name of its file and its content."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data; boundary="):
        raise refuse(400, "invalid_content_type", "The body must be multipart/form-data")
    head = f"content-type: {kind}\r\n\r\n".encode()
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + request.body)
    found = {}
    for part in message.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        found[name] = (part.get_filename() or "", part.get_payload(decode=True))
    if found.keys() != {"file", "purpose"}:
        raise refuse(400, "missing_required_parameter", "'file' and 'purpose' are required")
    return found


@contextmanager
def openai_files() -> Iterator[OpenAIFiles]:
    """OpenAI on a free port; `OPENAI_BASE_URL` is its `url` with `/v1`."""
    with stand_in(OpenAIFiles()) as server:
        yield server
