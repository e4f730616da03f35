"""What each route answers, for the description of the API: the type and an example of each body."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from http_api.answers import JSON
from http_api.description.answer_models import (
    Health,
    Ping,
    Problems,
    QueueDepth,
    Refusal,
    VCon,
    Version,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A body: its type for Pydantic, and an example."""

    kind: Any
    example: Any
    media_type: str = JSON


UUID_OF_EXAMPLE = "0195544a-c6b4-8f2a-9d3b-6d6f9a1c0e42"
EXAMPLE = {
    "vcon": "0.4.0",
    "uuid": UUID_OF_EXAMPLE,
    "created_at": "2026-11-02T09:30:00+00:00",
    "parties": [
        {"tel": "+15551234567", "name": "Alice"},
        {"mailto": "bob@example.com", "name": "Bob"},
    ],
    "dialog": [
        {
            "type": "text",
            "start": "2026-11-02T09:30:00+00:00",
            "parties": [0, 1],
            "mediatype": "text/plain",
            "body": "When do you open?",
            "encoding": "none",
        }
    ],
    "analysis": [],
    "attachments": [],
}
VERSION = {"version": "dev", "git_commit": "unknown", "build_time": "unknown"}

VCON = Answer(VCon, EXAMPLE)
UUIDS = Answer(list[UUID], [UUID_OF_EXAMPLE])
NUMBER = Answer(int, 1)
PING = Answer(Ping, {"test": True})
OBJECT = Answer(dict[str, Any], {"chains": {"main": {"ingress_lists": ["in"]}}})

ANSWERS: Mapping[str, Answer] = {
    "POST /vcon": VCON,
    "GET /vcon": UUIDS,
    "GET /vcon/{vcon_uuid}": VCON,
    "GET /vcons": Answer(list[VCon | None], [EXAMPLE, None]),
    "GET /vcons/search": UUIDS,
    "GET /vcon/egress": UUIDS,
    "POST /vcon/egress/ack": NUMBER,
    "GET /vcon/count": NUMBER,
    "GET /stats/queue": Answer(QueueDepth, {"list_name": "in", "depth": 1}),
    "GET /dlq": UUIDS,
    "POST /dlq/reprocess": NUMBER,
    "GET /dlq/storage": UUIDS,
    "POST /dlq/storage/reprocess": NUMBER,
    "GET /index_vcons": NUMBER,
    "GET /config": OBJECT,
    "GET /version": Answer(Version, VERSION),
    "GET /health": Answer(Health, {"status": "healthy", "version": VERSION}),
}
"""The answer of success of each route that has one with a body."""

PROBLEM = {
    "type": "missing",
    "loc": ["body", "uuid"],
    "msg": "Field required",
    "input": None,
}
PROBLEMS = Answer(Problems, {"detail": [PROBLEM]})

NO_EGRESS_LIST = "Unknown egress list: nope; known: out"
NO_STORAGE = "Unknown storage backend: nope"
TEXTS: Mapping[int, str] = {
    400: "The packed body ends too early",
    403: "Invalid API Key",
    404: "Unknown ingress list: nope; known: in, second",
    409: f"vCon {UUID_OF_EXAMPLE} was not brought in with this key; use another uuid",
    410: f"vCon {UUID_OF_EXAMPLE} was erased; its uuid is not accepted again",
    413: "The body has 9000000 bytes, more than the limit of 8000000",
    415: "Content-Encoding must be gzip, deflate or identity",
    429: "60 requests a minute are let in; try again in 7 s",
    500: "Internal error; the operator finds it as incident 1f0c9d2b7a44",
    502: "Removed from: redis. Not removed from s3: AccessDenied",
    503: "Too many requests wait; try again later",
    504: "The storages took longer than 25 s; send fewer uuids at once",
}
"""An example of `detail` for each status of a refusal."""
TEXTS_OF: Mapping[tuple[str, int], str] = {
    ("GET /vcon/{vcon_uuid}", 404): "vCon not found",
    ("GET /vcon/egress", 404): NO_EGRESS_LIST,
    ("POST /vcon/egress/ack", 404): NO_EGRESS_LIST,
    ("GET /vcon/count", 404): "Unknown list: nope; known: DLQ:in, in, out",
    ("GET /stats/queue", 404): "Unknown list: nope",
    ("GET /dlq/storage", 404): NO_STORAGE,
    ("POST /dlq/storage/reprocess", 404): NO_STORAGE,
    ("GET /vcons/search", 400): "At least one search parameter must be provided",
    ("POST /vcon/external-ingress", 403): "Invalid API Key for ingress list 'in'",
    (
        "POST /config",
        504,
    ): "the file is replaced, but was not in force after 30 s; the log says why",
    ("POST /config", 403): "POST /config is off; ADMIN_ACTIONS=true turns it on",
}
"""The same of a route, by method and path, where it is another one."""


def refusal(route: str, status: int) -> Answer:
    """The body of a route's refusal."""
    return Answer(Refusal, {"detail": TEXTS_OF.get((route, status), TEXTS[status])})
