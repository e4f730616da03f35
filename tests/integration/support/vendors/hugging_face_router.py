"""Hugging Face's router for inference providers: its rules for chats, and a model's answer."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.support.http_stand_in import Refused, Request, StandIn
from tests.integration.support.vendors.openai import JSON_ANSWER, chat

PATH = "/v1/chat/completions"
MODELS = {"meta-llama/Llama-3.3-70B-Instruct", "openai/gpt-oss-120b"}
PROVIDERS = {"", "together", "groq", "fastest", "cheapest", "preferred"}
MEMBERS = {
    *("model", "messages", "max_tokens", "temperature", "top_p", "stream", "stop", "seed"),
    *("frequency_penalty", "presence_penalty", "response_format", "logprobs", "top_logprobs"),
    *("tools", "tool_choice", "tool_prompt", "stream_options"),
}
"""The members of a request that its specification has."""


def check_chat(request: Request) -> None:
    """The rules of `POST /v1/chat/completions`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not token.startswith("hf_"):
        raise Refused(401, {"error": "Invalid username or password."})
    if request.method != "POST" or request.headers.get("content-type") != "application/json":
        raise Refused(415, {"error": "expected JSON"})
    body = request.json
    if unknown := body.keys() - MEMBERS:
        raise Refused(422, {"error": {"message": f"Extra inputs: {min(unknown)}"}})
    model, _, provider = str(body.get("model")).partition(":")
    if model not in MODELS or provider not in PROVIDERS:
        message = f"The requested model '{body.get('model')}' is not supported by any provider"
        error = {"message": message, "type": "invalid_request_error", "code": "model_not_supported"}
        raise Refused(400, {"error": error})
    _check_values(body)


def _check_values(body: dict[str, Any]) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(422, {"error": {"message": "messages: Field required"}})
    if not all(isinstance(each.get("content"), str) and each["content"] for each in messages):
        raise Refused(422, {"error": {"message": "messages: content must be a string"}})
    if body.get("max_tokens", 1) < 1 or not 0 <= body.get("temperature", 1) <= 2:
        raise Refused(422, {"error": {"message": "a parameter is out of its range"}})
    if not 0 < body.get("top_p", 1) <= 1:
        raise Refused(422, {"error": {"message": "`top_p` must be > 0.0 and <= 1.0"}})


class HuggingFaceRouter(StandIn):
    """The router; a link's `base_url` is its `url` with `/v1`."""

    def __init__(self) -> None:
        super().__init__(checks={PATH: check_chat}, replies={PATH: chat(json.dumps(JSON_ANSWER))})
