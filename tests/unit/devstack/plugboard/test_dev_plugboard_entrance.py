"""What the development Plugboard makes of a POST and of a consumer's answer, as values."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devstack.plugboard.board.directory import Directory
from devstack.plugboard.connections import http_replies as replies
from devstack.plugboard.connections.entrance import Call, RefusedError, admit
from devstack.plugboard.connections.http_replies import Reply, relay
from devstack.plugboard.connections.http_requests import HttpRequest
from devstack.plugboard.settings import Variant

MAIN, BUGFIXES = Variant.MAIN, Variant.BUGFIXES
ODD_STATUSES = [0, -1, 99, 199, 499, 599, 600, 999, 1000, "200", "ok", 200.0, True, [], {}]
DIRECTORY = Directory(timedelta(days=90))
SERVICES = [DIRECTORY.create_service(name, None, datetime.now(UTC)) for name in "abc"]
CHILD = DIRECTORY.create_service("child", SERVICES[0], datetime.now(UTC))
DIRECTORY.create_account_token("QUND", "")
DIRECTORY.create_account_token("T05M", "^a/child$")
HEADERS = {"authorization": "Bearer QUND", "content-type": "application/json"}
BODY = '{"service_id":3,"action":"Foo","fields":{}}'


def post(body: str = BODY, *, target: str = "/", variant: Variant = MAIN, **headers: str) -> Call:
    """Admit a POST; `content_type=` and the like replace headers."""
    named = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    request = HttpRequest("POST", target, named, body.encode(errors="surrogatepass"))
    return admit(request, DIRECTORY, variant)


def refusal(*args: Any, **kwargs: Any) -> Reply:
    """What the refused caller gets."""
    with pytest.raises(RefusedError) as caught:
        post(*args, **kwargs)
    return caught.value.reply


@pytest.mark.parametrize("message", [None, "text", 7, [1], {"a": None}, False])
def test_main_relays_the_message_of_a_success(message: object) -> None:
    """On main a success is 200 with nothing but message and status."""
    answer = {"status": "success", "message": message, "fields": 1, "status_code": 201}
    assert relay(MAIN, answer) == replies.json_reply(200, {"message": message, "status": "success"})


@pytest.mark.parametrize("status", ["error", "ok", 200, None, "Success", True])
def test_main_turns_everything_else_into_400(status: object) -> None:
    """On main any other status is 400 with the message."""
    expected = replies.json_reply(400, {"message": "no", "status": "error"})
    assert relay(MAIN, {"status": status, "message": "no"}) == expected


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"status": "success"},
        {"message": "x"},
        {"status_code": 200, "message": "x", "fields": 1},
        "text",
        ["status", "message"],
        7,
        None,
    ],
)
def test_main_needs_status_and_message(answer: object) -> None:
    """On main an answer without both keys is 502."""
    assert relay(MAIN, answer) == replies.INVALID_ANSWER


@pytest.mark.parametrize("status", [200, 201, 306, 400, 404, 418, 422, 429, 500, 503])
def test_bugfixes_relays_status_message_and_fields(status: int) -> None:
    """On bugfixes the answer's status_code is the HTTP status; other keys are dropped."""
    answer = {"status_code": status, "message": "m", "fields": [1], "status": "success"}
    assert relay(BUGFIXES, answer) == replies.json_reply(status, {"fields": [1], "message": "m"})


def test_bugfixes_takes_null_for_200() -> None:
    """On bugfixes a null status_code is 200, and null values are fine."""
    answer = {"status_code": None, "message": None, "fields": None}
    assert relay(BUGFIXES, answer) == replies.json_reply(200, {"fields": None, "message": None})


@pytest.mark.parametrize("status", [204, 304])
def test_bugfixes_sends_no_body_where_http_has_none(status: int) -> None:
    """On bugfixes 204 and 304 come with an empty body."""
    answer = {"status_code": status, "message": "m", "fields": 1}
    assert relay(BUGFIXES, answer) == Reply(status)


@pytest.mark.parametrize("status", ODD_STATUSES)
def test_bugfixes_breaks_on_a_status_without_a_phrase(status: object) -> None:
    """On bugfixes a status that has no reason phrase, or is no integer, is a bare 500."""
    assert relay(BUGFIXES, {"status_code": status, "message": 1, "fields": 1}) == replies.BROKEN


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "success", "message": "x"},
        {"status_code": 200, "message": "x"},
        {"status_code": 200, "fields": 1},
        {"message": 1, "fields": 1},
        [],
        None,
        "x",
    ],
)
def test_bugfixes_needs_three_keys(answer: object) -> None:
    """On bugfixes an answer lacking one of the three keys is 502."""
    assert relay(BUGFIXES, answer) == replies.INVALID_ANSWER


@pytest.mark.parametrize("service_id", ["3", '"3"'])
def test_a_service_id_is_a_number_or_its_text(service_id: str) -> None:
    """3 and "3" find the service."""
    assert post(BODY.replace("3", service_id)).service is SERVICES[2]


@pytest.mark.parametrize("service_id", ["3.0", '" 3"', '"03"', "null", "99", "true", '""'])
def test_any_other_service_id_finds_no_consumers(service_id: str) -> None:
    """What is not exactly the id is 422."""
    assert refusal(BODY.replace("3", service_id)) == replies.NO_CONSUMERS


def test_an_object_as_service_id_breaks_it() -> None:
    """An object is a bare 500."""
    assert refusal(BODY.replace("3", "{}")) == replies.BROKEN


@pytest.mark.parametrize(
    ("fields", "pushed"),
    [
        ("null", "null"),
        ("[]", "[]"),
        ('"text"', '"text"'),
        (f"{10**40}", f"{10**40}"),
        ("-0.0", "-0.0"),
        ("1.0e3", "1000.0"),
        (r'"\u0000"', r'"\u0000"'),
        (r'"\u00e9"', '"é"'),
        ('{"a":1,"a":2}', '{"a":1}'),
        ('{"a":{"b":1,"c":2,"b":3}}', '{"a":{"c":2,"b":1}}'),
    ],
)
def test_fields_pass_unvalidated(fields: str, pushed: str) -> None:
    """Any JSON is pushed: big integers whole, non-ASCII raw, of a repeated key the first."""
    call = post(BODY.replace("{}", fields))
    assert json.loads(call.fields) == json.loads(pushed)
    assert sorted(call.fields) == sorted(pushed.encode())


@pytest.mark.parametrize("levels", [200, 3_000, 100_000])
def test_fields_pass_however_deep(levels: int) -> None:
    """The real Plugboard's JSON reader has no limit; the fields are pushed as they came."""
    deep = "[" * levels + "]" * levels
    call = post(BODY.replace("{}", deep))
    assert (call.action, call.fields) == (b'"Foo"', deep.encode())


@pytest.mark.parametrize("action", ["null", "7", '"Not registered"'])
def test_actions_pass_unchecked(action: str) -> None:
    """Any action is pushed, also an unregistered one."""
    assert post(BODY.replace('"Foo"', action)).action == action.encode()


@pytest.mark.parametrize("body", ["{", "[1", '{"a":1e400}', '{"a":NaN}', "\ud800", "[" * 100_000])
def test_a_body_that_is_not_json_is_400(body: str) -> None:
    """Malformed JSON, an infinite number and broken UTF-8 are refused before anything else."""
    assert refusal(body, authorization="") == replies.BAD_REQUEST


def test_half_a_surrogate_pair_is_400() -> None:
    """An escape that is no character cannot be pushed."""
    assert refusal(BODY.replace("{}", r'"\ud800"')) == replies.BAD_REQUEST


@pytest.mark.parametrize("body", ["", "[]", "7", '{"service_id":3,"action":"Foo"}', '{"fields":1}'])
def test_missing_parameters_are_400(body: str) -> None:
    """All three parameters must be present keys."""
    assert refusal(body) == replies.MISSING_PARAMETERS


def test_other_content_types_have_no_parameters() -> None:
    """A text/plain body is not read."""
    assert refusal(content_type="text/plain") == replies.MISSING_PARAMETERS


def test_forms_and_queries_carry_parameters_too() -> None:
    """A urlencoded body and the query string work, the body going first."""
    call = post(
        "action=Foo&fields[a]=1",
        target="/?service_id=3&action=Bar",
        content_type="application/x-www-form-urlencoded; charset=utf-8",
    )
    assert (call.action, call.fields) == (b'"Foo"', b'{"a":"1"}')
    assert post("", target="/?service_id=3&action=Bar&fields=x").fields == b'"x"'


@pytest.mark.parametrize(
    ("accept", "fine"), [("text/html", False), ("*/*", True), ("text/html, application/json", True)]
)
def test_the_caller_must_accept_json(accept: str, fine: bool) -> None:
    """A caller that takes HTML only is 406, before its token is looked at."""
    if fine:
        assert post(accept=accept).service is SERVICES[2]
    else:
        assert refusal(accept=accept, authorization="") == replies.NOT_ACCEPTABLE


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer AAAA", "Basic QUND", "QUND"])
@pytest.mark.parametrize(("variant", "status"), [(MAIN, 500), (BUGFIXES, 401)])
def test_a_bad_bearer_is_500_or_401(authorization: str, variant: Variant, status: int) -> None:
    """Main crashes on a bad account token, bugfixes says 401."""
    assert refusal(authorization=authorization, variant=variant).status == status


@pytest.mark.parametrize("service", ['"x"', '" 3"', "3.5", "null", "true", '""'])
def test_a_restricted_account_needs_a_number(service: str) -> None:
    """Its pattern needs the service looked up; without a pattern no service has that id: 422."""
    body = BODY.replace("3", service)
    assert refusal(body, authorization="Bearer T05M") == replies.BAD_SERVICE_ID
    assert refusal(body) == replies.NO_CONSUMERS


@pytest.mark.parametrize(("service", "fine"), [(CHILD.id, True), (1, False), (3, False)])
def test_an_account_may_be_limited_to_a_path(service: int, fine: bool) -> None:
    """The account's pattern is searched for in the service's path."""
    body = BODY.replace("3", str(service))
    if fine:
        assert post(body, authorization="Bearer T05M").service is CHILD
    else:
        assert refusal(body, authorization="Bearer T05M") == replies.FORBIDDEN
