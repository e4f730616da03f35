"""What vcon-server answers, request by request; and where this service differs, why.

The rows are from a description of vcon-server's behaviour. A row with `differs` has this service's
answer; its text is the subject of a row of the table "What differs" in docs/http-api.md, and
`there` is what vcon-server answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

KNOWN = "0195544a-c6b4-8f2a-9d3b-6d6f9a1c0e42"
"""A vCon that is stored."""
UNKNOWN = "0195544a-c6b4-8f2a-9d3b-6d6f9a1c0e43"
TEL, NAME = "+15550177", "Contract"
VCON: dict[str, Any] = {
    "vcon": "0.4.0",
    "uuid": KNOWN,
    "created_at": "2026-11-21T12:00:00+00:00",
    "parties": [{"tel": TEL, "name": NAME}],
    "dialog": [],
    "analysis": [],
    "attachments": [],
}
TEXT = json.dumps(VCON)
ANY: Any = object()
"""A body that is not compared."""
NOTHING = b""

type Who = Literal["token", "partner", "wrong", "none"]


@dataclass(frozen=True)
class Row:
    """A request and its answer; `body` is JSON, or bytes that are compared as they are."""

    request: str
    status: int
    body: Any = ANY
    sent: str | None = None
    who: Who = "token"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the answer, besides the content type of JSON and the two of the version."""
    differs: str = ""
    there: str = ""


def detail(text: str) -> dict[str, str]:
    """The body of a refusal."""
    return {"detail": text}


def missing(*place: str) -> dict[str, Any]:
    """The body for a parameter that is missing."""
    problem = {"type": "missing", "loc": [*place], "msg": "Field required", "input": None}
    return {"detail": [problem]}


def problem(kind: str, place: list[Any], msg: str, given: Any, **ctx: Any) -> dict[str, Any]:
    """The body for a value that is not valid."""
    found = {"type": kind, "loc": place, "msg": msg, "input": given}
    return {"detail": [{**found, "ctx": ctx} if ctx else found]}


def number(name: str) -> dict[str, Any]:
    """The body for a text where a number should be."""
    msg = "Input should be a valid integer, unable to parse string as an integer"
    return problem("int_parsing", ["query", name], msg, "x")


def no_uuid(text: str) -> dict[str, Any]:
    """The body for a text in the path that is no uuid, in the words of Pydantic."""
    with pytest.raises(ValidationError) as failed:
        TypeAdapter(UUID).validate_python(text)
    [found] = failed.value.errors(include_url=False)
    return {"detail": [{**found, "loc": ["path", "vcon_uuid"]}]}


NO_UUID = no_uuid("nope")
VERSION = {"version": "dev", "git_commit": "unknown", "build_time": "unknown"}
LIST = "a list of no chain"
NO_LIST = "Unknown {}: nope; known: {}"

ABOUT = (
    Row("GET /version", 200, VERSION, who="none"),
    Row("GET /health", 200, {"status": "healthy", "version": VERSION}, who="none"),
    Row("HEAD /health", 200, NOTHING, who="none", differs="`HEAD`", there="405"),
    Row("GET /nope", 404, detail("Not Found")),
    Row("PUT /vcon", 405, detail("Method Not Allowed")),
    Row("GET /docs", 200, who="none", headers={"content-type": "text/html; charset=utf-8"}),
    Row("GET /redoc", 200, who="none", headers={"content-type": "text/html; charset=utf-8"}),
    Row("GET /openapi.json", 200, who="none"),
)
READING = (
    Row(f"GET /vcon/{KNOWN}", 200, VCON),
    Row(f"GET /vcon/{KNOWN.upper()}", 200, VCON),
    Row(f"GET /vcon/{UNKNOWN}", 404, detail("vCon not found")),
    Row("GET /vcon/nope", 422, NO_UUID),
    Row("GET /vcon", 200, [KNOWN]),
    Row("GET /vcon?page=2", 200, []),
    Row("GET /vcon?since=2026-11-21T12:00:00Z&until=2026-11-21T12:00:00Z", 200, [KNOWN]),
    Row("GET /vcon?until=2026-11-21T11:59:59Z", 200, []),
    Row("GET /vcon?size=x", 422, number("size")),
    Row(
        "GET /vcon?page=0",
        422,
        problem(
            "greater_than_equal",
            ["query", "page"],
            "Input should be greater than or equal to 1",
            "0",
            ge=1,
        ),
        differs="`GET /vcon`",
        there="an empty array",
    ),
    Row(f"GET /vcons?vcon_uuids={KNOWN}&vcon_uuids={UNKNOWN}", 200, [VCON, None]),
    Row(f"GET /vcons?vcon_uuids={UNKNOWN}&vcon_uuids={KNOWN}", 200, [None, VCON]),
    Row("GET /vcons", 200, [], differs="`GET /vcons` without uuids", there="500"),
    Row(f"GET /vcons/search?name={NAME}", 200, [KNOWN]),
    Row(f"GET /vcons/search?tel=%2B15550177&name={NAME}", 200, [KNOWN]),
    Row("GET /vcons/search?tel=nope", 200, []),
    Row(
        "GET /vcons/search?tel=%2B15550177&name=nope",
        200,
        [],
        differs="`GET /vcons/search`",
        there="the vCons that have one of the terms, if the other has none",
    ),
    Row(
        "GET /vcons/search?tel=nope&name=nope",
        200,
        [],
        differs="`GET /vcons/search`",
        there="500",
    ),
    Row("GET /vcons/search", 400, detail("At least one search parameter must be provided")),
    Row("GET /index_vcons", 200, 1),
)
_NEW = VCON | {"uuid": UNKNOWN}
POSTING = (
    Row("POST /vcon", 201, VCON, TEXT),
    Row("POST /vcon?ingress_lists=in", 201, VCON, TEXT),
    Row("POST /vcon?ingress_lists=in", 201, _NEW, json.dumps(_NEW)),
    Row(
        "POST /vcon?ingress_lists=nope",
        404,
        detail(NO_LIST.format("ingress list", "in, second")),
        TEXT,
        differs=LIST,
        there="201; nothing takes the vCon out of the list",
    ),
    Row(
        "POST /vcon",
        422,
        missing("body", "uuid"),
        json.dumps({"vcon": "0.4.0", "created_at": VCON["created_at"]}),
        differs="`input` in a 422",
        there="the whole body in `input`",
    ),
    Row(
        "POST /vcon",
        201,
        ANY,
        json.dumps({"uuid": UNKNOWN, "created_at": VCON["created_at"]}),
        differs="what a vCon must have",
        there="422: `vcon` is required",
    ),
    Row(
        "POST /vcon",
        201,
        _NEW,
        json.dumps(_NEW | {"vcon": "0.0.1", "group": [], "redacted": {}}),
        differs="the vCon that is stored and answered",
        there="the vCon as it was sent, with nulls and defaults",
    ),
    Row("POST /vcon", 422, ANY, "{", who="token"),
    Row(
        "POST /vcon",
        403,
        detail("Invalid API Key"),
        "{",
        who="wrong",
        differs="order of checks",
        there="422: JSON is read before the token",
    ),
)
_OWN = VCON | {"uuid": "0195544a-c6b4-8f2a-9d3b-6d6f9a1c0e44"}
EXTERNAL = (
    Row("POST /vcon/external-ingress?ingress_list=in", 204, NOTHING, json.dumps(_OWN), "partner"),
    Row(
        "POST /vcon/external-ingress?ingress_list=in",
        409,
        detail(f"vCon {KNOWN} was not brought in with this key; use another uuid"),
        TEXT,
        "partner",
        differs="a vCon of another partner",
        there="204; a partner may replace every vCon",
    ),
    Row(
        "POST /vcon/external-ingress?ingress_list=in",
        403,
        detail("API Key required"),
        TEXT,
        "none",
    ),
    Row(
        "POST /vcon/external-ingress?ingress_list=in",
        403,
        detail("Invalid API Key for ingress list 'in'"),
        TEXT,
        "wrong",
    ),
    Row(
        "POST /vcon/external-ingress?ingress_list=in",
        403,
        detail("Invalid API Key for ingress list 'in'"),
        TEXT,
    ),
    Row(
        "POST /vcon/external-ingress?ingress_list=second",
        403,
        detail("Ingress list 'second' not configured"),
        TEXT,
        "partner",
    ),
    Row("POST /vcon/external-ingress", 422, missing("query", "ingress_list"), TEXT, "partner"),
    Row(
        "POST /vcon/external-ingress?ingress_list=in",
        403,
        detail("Invalid API Key for ingress list 'in'"),
        "{}",
        "wrong",
        differs="order of checks",
        there="422: the body is judged before the key",
    ),
    Row("POST /vcon/external-ingress?ingress_list=in", 422, ANY, "{}", "partner"),
)
LISTS = (
    Row("GET /stats/queue?list_name=in", 200, {"list_name": "in", "depth": 0}, who="none"),
    Row("GET /stats/queue", 422, missing("query", "list_name"), who="none"),
    Row(
        "GET /stats/queue?list_name=nope",
        404,
        detail("Unknown list: nope"),
        who="none",
        differs="`GET /stats/queue`",
        there="depth 0",
    ),
    Row("GET /vcon/egress?egress_list=out", 200, [KNOWN]),
    Row("GET /vcon/egress?egress_list=out&limit=10", 200, [KNOWN]),
    Row("GET /vcon/egress?egress_list=out&limit=x", 422, number("limit")),
    Row("GET /vcon/egress", 422, missing("query", "egress_list")),
    Row(
        "GET /vcon/egress?egress_list=nope",
        404,
        detail(NO_LIST.format("egress list", "out")),
        differs=LIST,
        there="an empty array",
    ),
    Row("GET /vcon/count?egress_list=out", 200, 1, differs="`GET /vcon/count`", there="422"),
    Row("GET /vcon/count", 422, missing("query", "egress_list"), differs="`GET /vcon/count`"),
    Row(f"DELETE /vcon/{KNOWN}", 204, NOTHING),
    Row(f"DELETE /vcon/{UNKNOWN}", 204, NOTHING),
    Row("DELETE /vcon/nope", 422, NO_UUID),
)
QUEUEING = (
    Row("POST /vcon/ingress?ingress_list=in", 204, NOTHING, json.dumps([KNOWN])),
    Row("POST /vcon/ingress?ingress_list=in", 204, NOTHING, json.dumps([UNKNOWN])),
    Row("POST /vcon/ingress?ingress_list=in", 204, NOTHING, "[]"),
    Row("POST /vcon/ingress", 422, missing("query", "ingress_list"), json.dumps([KNOWN])),
    Row(
        "POST /vcon/ingress?ingress_list=in",
        422,
        problem("list_type", ["body"], "Input should be a valid list", {"uuids": [KNOWN]}),
        json.dumps({"uuids": [KNOWN]}),
    ),
    Row(
        "POST /vcon/ingress?ingress_list=nope",
        404,
        detail(NO_LIST.format("ingress list", "in, second")),
        json.dumps([KNOWN]),
        differs=LIST,
        there="204",
    ),
)
DEAD_LETTERS = (
    Row("GET /dlq?ingress_list=in", 200, []),
    Row("GET /dlq", 422, missing("query", "ingress_list")),
    Row(
        "GET /dlq?ingress_list=nope",
        404,
        detail(NO_LIST.format("ingress list", "in, run:main, second")),
        differs=LIST,
        there="an empty array",
    ),
    Row("POST /dlq/reprocess?ingress_list=in", 200, 0),
    Row("POST /dlq/reprocess", 422, missing("query", "ingress_list")),
    Row(
        "POST /dlq/reprocess?ingress_list=in&count=0",
        422,
        problem(
            "greater_than_equal",
            ["query", "count"],
            "Input should be greater than or equal to 1",
            "0",
            ge=1,
        ),
    ),
    Row(
        "POST /dlq/reprocess?ingress_list=in&count=100001",
        422,
        problem(
            "less_than_equal",
            ["query", "count"],
            "Input should be less than or equal to 100000",
            "100001",
            le=100000,
        ),
    ),
    Row("GET /dlq/storage?storage_name=nope", 404, detail("Unknown storage backend: nope")),
    Row("GET /dlq/storage", 422, missing("query", "storage_name")),
    Row(
        "POST /dlq/storage/reprocess?storage_name=nope",
        404,
        detail("Unknown storage backend: nope"),
    ),
)
CONFIGURATION = (
    Row("GET /config", 200, differs="`GET /config`", there="the file with its secrets"),
    Row("POST /config", 422, sent="[]"),
    Row(
        "POST /config",
        422,
        sent='{"chains": {"main": {"links": ["nope"]}}}',
        differs="`POST /config`",
        there="204; every configuration is written",
    ),
    Row("POST /config", 403, detail("Invalid API Key"), sent="{}", who="wrong"),
)

ROWS = (*ABOUT, *READING, *POSTING, *EXTERNAL, *LISTS, *QUEUEING, *DEAD_LETTERS, *CONFIGURATION)
