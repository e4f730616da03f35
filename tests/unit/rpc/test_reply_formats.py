"""What callers get for an answer, in every format and through both published Plugboards."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic import BaseModel

from core.action_response import ActionResponse
from core.rpc.request_handler import REPLY_FORMATS, encode, reply_format
from devstack.plugboard.connections.http_replies import Reply, relay
from devstack.plugboard.settings import Variant

MAIN, BUGFIXES = Variant.MAIN, Variant.BUGFIXES

DONE = ActionResponse(status_code=201, fields={"uuid": "u"})
WORDS = ActionResponse(status_code=200, message="fine")
BOTH = ActionResponse(status_code=200, message="fine", fields={"a": 1})
FAILED = ActionResponse(status_code=404, message="no such thing")
BARE = ActionResponse(status_code=200)
FALSY = ActionResponse(status_code=200, message="", fields=[])


def relayed(variant: Variant, form: str, response: ActionResponse) -> tuple[int, Any]:
    """The status and the JSON body a caller gets."""
    payload = orjson.loads(encode(REPLY_FORMATS[form](response)))
    reply: Reply = relay(variant, payload)
    return reply.status, json.loads(reply.body)


@pytest.mark.parametrize(
    ("form", "response", "status", "message", "fields"),
    [
        ("vera", DONE, 201, None, {"uuid": "u"}),
        ("vera", BOTH, 200, "fine", {"a": 1}),
        ("vera", FAILED, 404, "no such thing", None),
        ("vera", BARE, 200, None, None),
        ("auto", DONE, 201, {"uuid": "u"}, {"uuid": "u"}),
        ("auto", WORDS, 200, "fine", None),
        ("auto", BOTH, 200, "fine", {"a": 1}),
        ("auto", FAILED, 404, "no such thing", None),
        ("auto", BARE, 200, None, None),
        ("auto", FALSY, 200, "", []),
        (
            "message",
            DONE,
            201,
            {"status_code": 201, "message": None, "fields": {"uuid": "u"}},
            None,
        ),
        (
            "message",
            FAILED,
            404,
            {"status_code": 404, "message": "no such thing", "fields": None},
            None,
        ),
    ],
)
def test_what_bugfixes_relays(
    form: str, response: ActionResponse, status: int, message: Any, fields: Any
) -> None:
    """The Plugboard of branch `bugfixes` relays the code, the message and the fields."""
    assert relayed(BUGFIXES, form, response) == (status, {"message": message, "fields": fields})


@pytest.mark.parametrize(
    ("form", "response", "status", "word", "message"),
    [
        ("vera", DONE, 200, "success", None),
        ("vera", BOTH, 200, "success", "fine"),
        ("vera", FAILED, 400, "error", "no such thing"),
        ("auto", DONE, 200, "success", {"uuid": "u"}),
        ("auto", BOTH, 200, "success", "fine"),
        ("auto", FAILED, 400, "error", "no such thing"),
        ("auto", BARE, 200, "success", None),
        (
            "message",
            BOTH,
            200,
            "success",
            {"status_code": 200, "message": "fine", "fields": {"a": 1}},
        ),
        (
            "message",
            FAILED,
            400,
            "error",
            {"status_code": 404, "message": "no such thing", "fields": None},
        ),
    ],
)
def test_what_main_relays(
    form: str, response: ActionResponse, status: int, word: str, message: Any
) -> None:
    """The Plugboard of branch `main` relays the message and one of two codes."""
    assert relayed(MAIN, form, response) == (status, {"status": word, "message": message})


@pytest.mark.parametrize("form", REPLY_FORMATS)
@pytest.mark.parametrize("response", [DONE, WORDS, BOTH, FAILED, BARE])
@pytest.mark.parametrize("variant", Variant)
def test_no_answer_is_called_invalid(form: str, response: ActionResponse, variant: Variant) -> None:
    """Both Plugboards accept every answer in every format."""
    status, _ = relayed(variant, form, response)
    assert status in (response.status_code, 200 if response.status == "success" else 400)


class Point(BaseModel):
    x: int


class Named(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("value", "json_value"),
    [
        (Point(x=1), {"x": 1}),
        (
            {
                1,
            },
            [1],
        ),
        ({1: "a"}, {"1": "a"}),
        (2**70, 2**70),
        (Decimal("1.5"), "1.5"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (float("nan"), None),
        ((1, 2), [1, 2]),
        ("caf\udce9", "caf\ufffd"),
        (Named(name="caf\udce9"), {"name": "caf\ufffd"}),
    ],
)
def test_any_object_in_fields_becomes_json(value: Any, json_value: Any) -> None:
    """Models, sets, times, large numbers and the like can be answered as they are."""
    text = encode({"fields": value})
    assert json.loads(text) == {"fields": json_value}


def test_what_is_not_json_is_refused() -> None:
    """A value that cannot be encoded raises ValueError."""
    with pytest.raises(ValueError, match="serialize"):
        encode({"fields": object()})


def test_large_results_of_tasks_are_sent_once() -> None:
    """They are the message, which both Plugboards relay; small ones are the fields, too."""
    large, small = {"outputs": ["x" * 70_000]}, {"outputs": ["x"]}
    for fields, twice in ((large, None), (small, small)):
        payload = REPLY_FORMATS["auto"](_once(fields))
        assert (payload["message"], payload["fields"]) == (fields, twice)
    assert len(encode(REPLY_FORMATS["auto"](_once(large)))) < 80_000
    assert REPLY_FORMATS["auto"](ActionResponse(status_code=200, fields=large))["fields"] == large


@pytest.mark.parametrize(
    ("form", "most_twice", "times", "plugboards"),
    [("auto", 65_536, 2, 2), ("auto", 0, 1, 2), ("vera", 65_536, 1, 1), ("message", 65_536, 1, 2)],
)
def test_how_often_a_small_result_of_a_task_is_sent(
    form: str, most_twice: int, times: int, plugboards: int
) -> None:
    """Twice only with `auto`, unless the setting says else; with `vera` one Plugboard drops it."""
    sent = encode(reply_format(form, most_twice)(_once({"outputs": "unmistakable"})))
    assert sent.count(b"unmistakable") == times
    relayed_by = [each for each in Variant if b"unmistakable" in _body(each, sent)]
    assert len(relayed_by) == plugboards


def _body(variant: Variant, sent: bytes) -> bytes:
    reply: Reply = relay(variant, orjson.loads(sent))
    return reply.body


def _once(fields: object) -> ActionResponse:
    return ActionResponse(status_code=200, fields=fields, is_sent_once=True)
