"""What an answer looks like on the wire.

Two Plugboards are published. One wants `status` and relays only `message`; the other wants
`status_code`, `message` and `fields` and relays those. An answer that carries all four keys suits
both; the formats differ in what stands in `message`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from pydantic_core import to_json, to_jsonable_python

from core.action_response import ActionResponse
from core.observability.storable_text import storable

MOST_TWICE = 64 * 1024
"""Bytes of the results of tasks and flows that are sent twice unless REPLY_TWICE_BYTES says else:
one published Plugboard relays only the message, and callers of the other read the fields."""

type Payload = dict[str, Any]
type ReplyFormat = Callable[[ActionResponse], Payload]


def vera(response: ActionResponse) -> Payload:
    """The four keys, each as the action set it."""
    return _payload(response, response.message, response.fields)


def auto(response: ActionResponse, most_twice: int = MOST_TWICE) -> Payload:
    """Like `vera`, but fields without a message are the message too, so no Plugboard drops them."""
    message = response.fields if response.message is None else response.message
    is_enough = _is_enough(response, most_twice)
    return _payload(response, message, None if is_enough else response.fields)


def _is_enough(response: ActionResponse, most_twice: int) -> bool:
    """Whether fields that are the message are not sent once more beside it, for their size."""
    is_twice = response.is_sent_once and response.message is None and response.fields is not None
    return is_twice and len(to_json(response.fields, inf_nan_mode="null")) > most_twice


def message(response: ActionResponse) -> Payload:
    """Everything inside `message`, for callers who want code, words and fields on any Plugboard."""
    inside = {
        "status_code": response.status_code,
        "message": response.message,
        "fields": response.fields,
    }
    return _payload(response, inside, None)


def _payload(response: ActionResponse, words: Any, fields: Any) -> Payload:
    return {
        "status": response.status,
        "status_code": response.status_code,
        "message": words,
        "fields": fields,
    }


REPLY_FORMATS: dict[str, ReplyFormat] = {"auto": auto, "vera": vera, "message": message}


def reply_format(name: str, most_twice: int) -> ReplyFormat:
    """The format of this name; `auto` sends results of tasks above so many bytes once."""
    return partial(auto, most_twice=most_twice) if name == "auto" else REPLY_FORMATS[name]


def encoded(payload: Payload) -> bytes:
    """The payload as JSON, made once; as `orjson.Fragment` it is ready to be put into a frame.

    Whatever Pydantic can write as JSON may be in it: models, sets, times, keys that are no text.
    U+FFFD stands for halves of surrogate pairs.

    Raises:
        ValueError: something in it cannot be written.
    """
    try:
        return orjson.dumps(payload)
    except TypeError:
        pass
    try:
        return to_json(payload, inf_nan_mode="null")
    except ValueError:  # half a surrogate pair, or what it cannot write at all
        return orjson.dumps(storable(to_jsonable_python(payload)))
