"""Errors as answers: the statuses and bodies that clients of vcon-server know.

`detail` is a text, or with 422 a list of problems in Pydantic's form: `type`, `loc`, `msg`.
"""

import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Self

import orjson
from pydantic import ValidationError
from starlette.responses import Response

from core.errors import (
    STATUS_OF,
    BusyError,
    InvalidError,
    MalformedError,
    RateLimitedError,
    ReusedKeyError,
    status_of,
)
from core.observability.redaction import KNOWN
from http_api.answers import json_response
from http_api.serving.body import BadBodyError, UnsupportedEncodingError
from schemas.packed import WANTED

log = logging.getLogger(__name__)

STATUSES: dict[type[Exception], int] = {
    InvalidError: 422,
    ReusedKeyError: 422,
    BusyError: 503,
    BadBodyError: 400,
    UnsupportedEncodingError: 415,
    **{kind: status for kind, status in STATUS_OF.items() if kind is not InvalidError},
}
"""The status of each error. Clients set a vCon aside for good after 409: what passes is 503."""
MOST_PROBLEMS = 20
"""Problems that an answer lists at most."""
LONGEST_INPUT = 200
"""Characters of a text that an answer repeats; of an array or object, all or none."""

type Problem = dict[str, Any]


class ParametersError(InvalidError):
    """Parameters are missing or not valid; `details` are in Pydantic's form."""

    def __init__(self, details: list[Problem]) -> None:
        self.details = details
        super().__init__("; ".join(str(each["msg"]) for each in details))

    @classmethod
    def of(cls, error: ValidationError, *place: str) -> Self:
        """Pydantic's error about parameters at this place, such as `query`."""
        found = error.errors(include_url=False)[:MOST_PROBLEMS]
        return cls([_placed(dict(each), place) for each in found])

    @classmethod
    def because(cls, message: str, *place: str) -> Self:
        """One problem."""
        return cls([{"type": "value_error", "loc": list(place), "msg": message}])


def _placed(detail: Problem, place: Iterable[str]) -> Problem:
    detail["loc"] = [*place, *detail["loc"]]
    if detail["type"] == "missing":
        detail["input"] = None
    elif isinstance(given := detail.get("input"), str):
        detail["input"] = given[:LONGEST_INPUT]
    elif isinstance(given, dict | list) and len(orjson.dumps(given)) > LONGEST_INPUT:
        del detail["input"]
    elif len(orjson.dumps(given, default=str)) > LONGEST_INPUT:
        detail["input"] = None
    return detail


def malformed(error: orjson.JSONDecodeError) -> MalformedError:
    """The error for a body that is not JSON."""
    return MalformedError(error.msg, error.pos)


def answer_to(error: BaseException, action: str, rate_limited: int = 429) -> Response:
    """The answer to a request that failed with this error.

    `action`: method and path of the route, for the log; `rate_limited`: one status of them.
    """
    is_rate = isinstance(error, RateLimitedError)
    status = rate_limited if is_rate else status_of(error, STATUSES)
    if status == 500:
        return _incident(action)
    text = KNOWN.sentence(str(error))
    if status > 500 and not is_rate:
        log.warning("request failed", extra={"action": action, "status": status, "error": text})
    detail = problems(error) if isinstance(error, InvalidError) else text
    return refusal(status, detail, _headers(error, status))


def _headers(error: BaseException, status: int) -> Mapping[str, str]:
    passes = status in (429, 503)
    return {"Retry-After": str(getattr(error, "retry_after", 1))} if passes else {}


def refusal(status: int, detail: Any, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with `detail` alone."""
    return json_response({"detail": detail}, status, headers)


def _incident(action: str) -> Response:
    """A 500 with an id, which the log line with the traceback has, too."""
    number = uuid.uuid4().hex[:12]
    about = {"action": action, "status": 500, "incident": number}
    log.exception("handler failed", extra=about)
    return refusal(500, f"Internal error; the operator finds it as incident {number}")


_PROBLEM = re.compile(r"([A-Za-z_][\w.\[\]-]{0,199}): (.*)", re.DOTALL)
_PART = re.compile(r"[^.\[\]]+")
_IN_ACTION = "The request cannot be read: fields.vcon."
"""Before the place of a number in a vCon, for callers of actions. Here the vCon is the body."""


def problems(error: InvalidError, most: int = MOST_PROBLEMS) -> list[Problem]:
    """The problems of an error in Pydantic's form, `most` of them; places begin with `body`."""
    if isinstance(error, ParametersError):
        return error.details
    if isinstance(error, MalformedError):
        return [_malformed(error)]
    texts = error.problems or [str(error)]
    return [_problem(KNOWN.sentence(text)) for text in texts[:most]]


def _malformed(error: MalformedError) -> Problem:
    return {
        "type": "json_invalid",
        "loc": ["body", error.position],
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": str(error).removeprefix("vcon: ")},
    }


_NO_OBJECT = f"vcon: {WANTED}"


def _problem(text: str) -> Problem:
    if text == _NO_OBJECT:  # the body is the vCon
        words = "Input should be a valid dictionary or object to extract fields from"
        return {"type": "model_attributes_type", "loc": ["body"], "msg": words}
    found = _PROBLEM.fullmatch(text.removeprefix(_IN_ACTION))
    if found is None:
        return {"type": "value_error", "loc": ["body"], "msg": text}
    parts = [int(each) if each.isdecimal() else each for each in _PART.findall(found[1])]
    loc = ["header" if found[1] == "Idempotency-Key" else "body", *parts]
    if found[2].endswith("; got null"):  # a member that is not there
        return {"type": "missing", "loc": loc, "msg": "Field required", "input": None}
    return {"type": "value_error", "loc": loc, "msg": f"Value error, {found[2]}"}
