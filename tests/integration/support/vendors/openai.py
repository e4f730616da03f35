"""OpenAI's rules for the requests of links: what its API refuses, as far as it documents it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.integration.support.http_stand_in import Refused, Request, StandIn

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
LONGEST = 10_485_760
"""Characters of one message; the error is `string_above_max_length`."""
LARGEST_METADATA = 512
CHAT_MEMBERS = {
    *("model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "n"),
    *("response_format", "metadata", "store", "stream", "seed", "stop", "reasoning_effort"),
}
RESPONSE_MEMBERS = {
    *("model", "input", "instructions", "temperature", "top_p", "max_output_tokens", "text"),
    *("metadata", "store", "stream", "reasoning"),
}
WITHOUT_TEMPERATURE = ("gpt-5", "o1", "o3", "o4")
"""The beginnings of models that accept no temperature but 1."""
JSON_ANSWER = {
    "applies": True,
    "labels": ["bike", "repair"],
    "summary": "A broken bike.",
    "sentiment": "neutral",
    "key_points": ["The bike is broken."],
}


def refuse(status: int, code: str, message: str) -> Refused:
    """An error in OpenAI's form."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return Refused(status, {"error": error})


def check_chat(request: Request) -> None:
    """The rules of `POST /v1/chat/completions`."""
    body = _checked(request, CHAT_MEMBERS)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise refuse(400, "empty_array", "'messages' must not be empty")
    texts = [_text(each) for each in messages]
    as_json = (body.get("response_format") or {}).get("type") == "json_object"
    if as_json and not any("json" in each.lower() for each in texts):
        raise refuse(400, "invalid_value", "'messages' must contain the word 'json' in some form")


def check_response(request: Request) -> None:
    """The rules of `POST /v1/responses`."""
    body = _checked(request, RESPONSE_MEMBERS)
    if not isinstance(body.get("input"), str | list) or not body["input"]:
        raise refuse(400, "missing_required_parameter", "'input' is missing")
    _text({"role": "user", "content": body["input"]})


CHECKS: dict[str, Callable[[Request], None]] = {CHAT: check_chat, RESPONSES: check_response}


def _checked(request: Request, members: set[str]) -> dict[str, Any]:
    """The body, if what all requests have in common is as it must be."""
    if request.method != "POST":
        raise refuse(405, "method_not_allowed", "use POST")
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not key.strip():
        raise refuse(401, "invalid_api_key", "no API key was provided")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise refuse(415, "unsupported_media_type", "the body must be JSON")
    body = request.json
    if unknown := body.keys() - members:
        raise refuse(400, "unknown_parameter", f"unknown parameter: {min(unknown)}")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise refuse(400, "missing_required_parameter", "'model' is missing")
    _check_temperature(body)
    return dict(body)


def _check_temperature(body: dict[str, Any]) -> None:
    given = body.get("temperature")
    if given is None:
        return
    if not 0 <= given <= 2:
        raise refuse(400, "decimal_above_max_value", "'temperature' must be from 0 to 2")
    if body["model"].startswith(WITHOUT_TEMPERATURE) and given != 1:
        raise refuse(400, "unsupported_value", "this model accepts no 'temperature' but 1")


def _text(message: Any) -> str:
    if message.get("role") not in ("system", "developer", "user", "assistant", "tool"):
        raise refuse(400, "invalid_value", f"unknown role: {message.get('role')}")
    content = message.get("content")
    if not isinstance(content, str):
        raise refuse(400, "invalid_type", "'content' must be a string")
    if len(content) > LONGEST:
        raise refuse(400, "string_above_max_length", f"'content' is longer than {LONGEST}")
    return content


def chat(content: str = "A broken bike.") -> dict[str, Any]:
    """What OpenAI answers to a chat."""
    message = {"role": "assistant", "content": content}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4-0613",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15},
    }


def response(text: str = "true") -> dict[str, Any]:
    """What OpenAI answers to a request of its Responses API."""
    content = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-4.1",
        "status": "completed",
        "output": [
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [content],
            }
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 12,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 13,
        },
    }


class OpenAI(StandIn):
    """OpenAI for whole chains: `OPENAI_BASE_URL` is its `url` with `/v1`."""

    def __init__(self) -> None:
        super().__init__(checks=dict(CHECKS))
        self.replies = {CHAT: self._completed, RESPONSES: response()}

    def _completed(self, body: bytes) -> dict[str, Any]:
        asks_for_json = "response_format" in json.loads(body)
        return chat(json.dumps(JSON_ANSWER)) if asks_for_json else chat()
