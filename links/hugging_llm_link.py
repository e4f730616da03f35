"""Summarises the transcripts of a vCon with a model of Hugging Face.

Reads all analyses of the type `transcript`. Writes one analysis of the type `llm_analysis` for
their dialogs, with the model's answer as `analysis` (an object with `summary`, `sentiment` and
`key_points`; the text, if the model answers without such an object), `model` and `parameters`. A
vCon that has such an analysis, or no transcript, is left as it is, so a second run sends no
request. If the vCon is not in Redis, the chain ends.

The requests go to Hugging Face's router for inference providers, whose API is OpenAI's for chats. A
model may name its provider: `meta-llama/Llama-3.3-70B-Instruct:together`. With `base_url` they go
to another server with this API, such as an inference endpoint, vLLM or llama.cpp. With
`use_local_model` the model runs in the worker's process, on its CPU, one text at a time, with the
packages `transformers` and `torch`, which are in no extra: they take several gigabytes.

Raises `VendorError` if the last attempt failed; vcon-server continues the chain without an analysis
then.
"""

import asyncio
import importlib.util
import threading
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from lib import effects
from lib.ai.answers import objects_in
from lib.metrics import increment_counter, record_histogram
from lib.options import vendor_variable
from lib.plain_calls import plain_too
from lib.vcon.dialogs import Document, add_analysis, analysis_text
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_retry import HttpRetryOptions, VendorError
from lib.web.json_api import call_json

__all__ = ["Options", "effect", "only_through_lib", "run"]

effect = "idempotent"
only_through_lib = True

ROUTER = "https://router.huggingface.co/v1"
SERVER = "Hugging Face"
KIND = "llm_analysis"
KEYS = ("HUGGINGFACE_API_KEY", "HF_TOKEN")
"""Variables with the token: vcon-server's, and that of Hugging Face's own libraries."""
QUESTION = """\
Read the conversation below. Answer with one JSON object that has three keys: `summary`, a short \
summary of it; `sentiment`, its overall mood; `key_points`, a list of the topics that matter.

"""


class Options(HttpRetryOptions):
    """Options of the link."""

    key: SecretStr = Field(
        SecretStr(""),
        alias="HUGGINGFACE_API_KEY",
        description="Hugging Face's token; unset: the variable `HUGGINGFACE_API_KEY` or `HF_TOKEN`",
    )
    model: str = Field(
        "meta-llama/Llama-3.3-70B-Instruct",
        min_length=1,
        description="the model; vcon-server's default, `meta-llama/Llama-2-70b-chat-hf`, is its "
        "predecessor",
    )
    use_local_model: bool = Field(False, description="whether the model runs in the worker")
    max_length: int = Field(1000, ge=1, description="the maximum of tokens of the answer")
    temperature: float = Field(0.7, ge=0, le=2, description="the sampling temperature")
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="the share of most likely tokens to sample from; not sent if unset",
    )
    top_k: int | None = Field(
        None,
        ge=1,
        description="the number of most likely tokens to sample from; only of a local model, since "
        "the router's API does not have it",
    )
    base_url: str = Field(ROUTER, pattern=r"^https?://", description="+ the address of the API")

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.use_local_model and importlib.util.find_spec("transformers") is None:
            raise ValueError(
                "use_local_model needs two packages: pip install transformers torch; or run the "
                "model in a server with OpenAI's API and set base_url"
            )
        if not (self.use_local_model or self.token) and self.base_url == ROUTER:
            raise ValueError("set HUGGINGFACE_API_KEY here, or it or HF_TOKEN in the environment")
        return self

    @property
    def token(self) -> str:
        """The token, from the option or the environment; may be empty for a server of one's own."""
        return self.key.get_secret_value().strip() or next(
            filter(None, map(vendor_variable, KEYS)), ""
        )

    @property
    def parameters(self) -> dict[str, float]:
        """What the analysis says about how the model was asked."""
        named = {"max_length": self.max_length, "temperature": self.temperature}
        more = {"top_p": self.top_p, "top_k": self.top_k}
        return named | {name: value for name, value in more.items() if value is not None}


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the analysis; returns the uuid, or None if the vCon is not in Redis."""
    options, redis = Options.of(opts), AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    found = list(_transcripts(document))
    if not found or any(each.get("type") == KIND for each in _analyses(document)):
        return vcon_uuid
    answer = await _answer("\n".join(text for _, text in found), options)
    told = next((each for each in objects_in(answer) if "summary" in each), None)
    add_analysis(
        document,
        kind=KIND,
        dialog=_dialogs(about for about, _ in found),
        vendor="huggingface",
        body={"analysis": told or answer, "model": options.model, "parameters": options.parameters},
        vendor_schema={"opts": {"model": options.model, **options.parameters}},
    )
    await redis.store_vcon_dict(document)
    return vcon_uuid


def _analyses(document: Document) -> Iterator[dict[str, Any]]:
    for each in document.get("analysis") or ():
        if isinstance(each, dict):
            yield each


def _transcripts(document: Document) -> Iterator[tuple[object, str]]:
    """The `dialog` and the text of each transcript with a text."""
    for each in _analyses(document):
        if each.get("type") == "transcript" and (text := analysis_text(each).strip()):
            yield each.get("dialog"), text


def _dialogs(abouts: Iterator[object]) -> int | list[int]:
    """The dialogs of the transcripts, as an index if it is one; `[]` if they name none."""
    listed = [each for about in abouts for each in (about if isinstance(about, list) else [about])]
    indexes = sorted({each for each in listed if type(each) is int})
    return indexes[0] if len(indexes) == 1 else indexes


async def _answer(text: str, options: Options) -> str:
    ask = _answer_of_process if options.use_local_model else _answer_of_server
    began = time.perf_counter()
    try:
        answer = await ask(QUESTION + text, options)
    except VendorError:
        increment_counter("conserver.link.huggingface.llm_failures")
        raise
    record_histogram("conserver.link.huggingface.llm_time", time.perf_counter() - began)
    return answer


async def _answer_of_server(question: str, options: Options) -> str:
    request = {
        "model": options.model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": options.max_length,
        "temperature": options.temperature,
        "stream": False,
    }
    if options.top_p is not None:
        request["top_p"] = options.top_p
    headers = {"idempotency-key": effects.key()}
    if options.token:
        headers["authorization"] = f"Bearer {options.token}"
    answer = await call_json(
        "POST",
        f"{options.base_url.rstrip('/')}/chat/completions",
        server=SERVER,
        retry=options.http_retry,
        headers=headers,
        json=request,
    )
    return _content(answer.body)


def _content(body: Any) -> str:
    try:
        text = body["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str) or not text.strip():
        raise VendorError(f"{SERVER} answered without text")
    return text


_lock = threading.Lock()


async def _answer_of_process(question: str, options: Options) -> str:
    return await asyncio.to_thread(_generate, question, options)


def _generate(question: str, options: Options) -> str:
    more = {"top_p": options.top_p, "top_k": options.top_k, "temperature": options.temperature}
    sampling = {name: value for name, value in more.items() if value}
    with _lock:
        found = _pipeline(options.model)(
            question,
            max_new_tokens=options.max_length,
            return_full_text=False,
            do_sample=options.temperature > 0,
            **(sampling if options.temperature > 0 else {}),
        )
    text = found[0]["generated_text"]
    if not isinstance(text, str) or not text.strip():
        raise VendorError("the local model answered without text")
    return text


@lru_cache(maxsize=2)
def _pipeline(model: str) -> Any:
    return import_module("transformers").pipeline("text-generation", model=model, device="cpu")
