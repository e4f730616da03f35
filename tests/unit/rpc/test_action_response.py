"""Which answers can be built."""

from http import HTTPStatus

import pytest
from pydantic import ValidationError

from core.action_response import ActionResponse
from devstack.plugboard.connections.http_replies import relay
from devstack.plugboard.settings import Variant

RELAYABLE = [status.value for status in HTTPStatus if status >= 200]


@pytest.mark.parametrize("code", [-1, 0, 99, 199, 299, 306, 499, 599, 600, 999, 1000])
def test_a_code_without_a_name_is_refused(code: int) -> None:
    """The Plugboard crashes on a status that HTTP has no phrase for, so none can be built."""
    with pytest.raises(ValidationError, match="is not an HTTP status code"):
        ActionResponse(status_code=code)


@pytest.mark.parametrize("code", [100, 101, 102, 103])
def test_an_informational_code_is_refused(code: int) -> None:
    """An informational status would make a broken HTTP answer."""
    with pytest.raises(ValidationError, match="informational"):
        ActionResponse(status_code=code)


@pytest.mark.parametrize("code", [None, "ok", [], True])
def test_what_is_no_number_is_refused(code: object) -> None:
    """A status code is a number."""
    with pytest.raises(ValidationError):
        ActionResponse(status_code=code)  # type: ignore[arg-type]


def test_every_code_that_can_be_built_is_relayed() -> None:
    """The Plugboard that relays status codes answers with exactly the code that was built."""
    answers = [
        relay(Variant.BUGFIXES, {"status_code": code, "message": None, "fields": None})
        for code in RELAYABLE
        if ActionResponse(status_code=code)
    ]
    assert [answer.status for answer in answers] == RELAYABLE


@pytest.mark.parametrize(
    ("code", "word"),
    [(200, "success"), (204, "success"), (308, "success"), (400, "error"), (511, "error")],
)
def test_success_ends_below_400(code: int, word: str) -> None:
    """The word for the Plugboard that knows only two outcomes follows from the code."""
    assert ActionResponse(status_code=code).status == word


def test_message_and_fields_are_optional() -> None:
    """A response may be a bare status code."""
    response = ActionResponse(status_code=202)
    assert (response.message, response.fields) == (None, None)
