"""What an answer looks like on the wire.

Two Plugboards are published. One wants `status` and relays only `message`; the other wants
`status_code`, `message` and `fields` and relays those. An answer that carries all four keys suits
both; the formats differ in what stands in `message`.
"""

from collections.abc import Callable
from typing import Any

import orjson
from pydantic_core import to_json, to_jsonable_python

from core.action_response import ActionResponse
from core.storable_text import storable

MOST_TWICE = 64 * 1024
"""Bytes of the results of tasks and flows that are sent twice for the sake of both Plugboards."""

type Payload = dict[str, Any]
type ReplyFormat = Callable[[ActionResponse], Payload]


def vera(response: ActionResponse) -> Payload:
    """The four keys, each as the action set it."""
    return _payload(response, response.message, response.fields)


def auto(response: ActionResponse) -> Payload:
    """Like `vera`, but fields without a message are the message too, so no Plugboard drops them."""
    message = response.fields if response.message is None else response.message
    return _payload(response, message, None if _is_enough(response) else response.fields)


def _is_enough(response: ActionResponse) -> bool:
    """Whether fields that are the message are not sent once more beside it, for their size."""
    is_twice = response.is_sent_once and response.message is None and response.fields is not None
    return is_twice and len(to_json(response.fields, inf_nan_mode="null")) > MOST_TWICE


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
