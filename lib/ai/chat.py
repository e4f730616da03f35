"""Sends the dialogs of a vCon to a language model, with the options of vcon-server's links."""

import logging
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from lib import effects
from lib.ai.openai_api import OpenAIApi, numbers
from lib.ai_usage import report_usage
from lib.links.filters import is_included, is_sampled
from lib.metrics import increment_counter, record_histogram
from lib.openai_options import OpenAIOptions
from lib.vcon.dialogs import Document, Entry, analysis_of, dialogs, text_at
from lib.web.answers import malformed, reading
from lib.web.http_retry import VendorError

log = logging.getLogger(__name__)

MOST_CHARACTERS = 10_485_760
"""Characters of one message; OpenAI refuses longer ones."""
SERVER = "the language model's server"


class SourceOptions(BaseModel):
    """The type of the analysis with a dialog's text, and the path of the text in it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    analysis_type: str = "transcript"
    text_location: str = "body.paragraphs.transcript"


class ChatOptions(OpenAIOptions):
    """Options of links that send the text of dialogs to a language model."""

    model: str = Field("gpt-3.5-turbo-16k", description="the model")
    source: SourceOptions = Field(
        SourceOptions(),
        description="the type of the analysis that has the text, and the path of the text in it",
    )
    only_if: dict[str, str | None] | None = Field(
        None,
        description="process only vCons with an entry of this `type` or `purpose` in the "
        "`section` (`attachments` or `analysis`) whose body `includes` this text or tag",
    )
    sampling_rate: float = Field(
        1,
        ge=0,
        le=1,
        description="the share of vCons to process, from 0 to 1; the decision for one vCon is "
        "always the same",
    )

    @cached_property
    def api(self) -> OpenAIApi:
        """Where the model is."""
        return OpenAIApi.of(self.access)

    def wants(self, document: Document, link_name: str) -> bool:
        """Whether `only_if` and `sampling_rate` select this vCon."""
        options = {"only_if": self.only_if, "sampling_rate": self.sampling_rate}
        return is_included(options, document) and is_sampled(options, link_name, document["uuid"])

    def open_dialogs(
        self, document: Document, kind: str, made_by: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[int, str]]:
        """Index and text of each dialog with a text and without an analysis of this kind.

        With `made_by`, only an analysis whose JSON body has these values counts.
        """
        for index, _ in dialogs(document):
            source = analysis_of(document, index, self.source.analysis_type)
            text = text_at(source or {}, self.source.text_location)
            if not text:
                log.warning("dialog has no text", extra={"vcon": document["uuid"]})
            elif not _is_done(document, index, kind, made_by or {}):
                yield index, text


class PromptOptions(ChatOptions):
    """Options of links whose prompt is configurable."""

    prompt: str = Field("", description="the instruction, which precedes the text")
    analysis_type: str = Field("summary", description="the type of the analysis that is written")
    temperature: float | None = Field(
        None,
        ge=0,
        le=2,
        description="the sampling temperature; unset: not sent, since some models accept none "
        "(vcon-server sends one), and the model's default applies",
    )

    @property
    def sampling(self) -> dict[str, float]:
        """The part of a request that says how the model samples."""
        return {} if self.temperature is None else {"temperature": self.temperature}


def _is_done(document: Document, index: int, kind: str, made_by: Mapping[str, Any]) -> bool:
    """Whether the dialog has an analysis of this kind with these values in its body."""
    found: list[Entry] = [
        each
        for each in document.get("analysis") or ()
        if analysis_of({"analysis": [each]}, index, kind)
    ]
    return any(all(text_at(each, f"body.{k}") == v for k, v in made_by.items()) for each in found)


def messages(system: str, user: str) -> list[dict[str, str]]:
    """The messages of a chat.

    Raises:
        ValueError: if one is longer than OpenAI accepts.
    """
    for each in (system, user):
        _require_short(each)
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


async def complete(
    options: ChatOptions, vcon_uuid: str, metric: str, what: str, **request: Any
) -> str:
    """The text of the model's answer; `request` is what it gets besides the model.

    Metrics: `conserver.link.openai.METRIC_time` and `_failures`. `what` is the `sub_type` of the
    usage report.

    Raises:
        VendorError: if the last attempt failed, or the answer has no text.
    """
    answer = await _asked(options, metric, "chat/completions", request)
    await _report(options, vcon_uuid, what, answer, ("prompt_tokens", "completion_tokens"))
    return _text_of(_at(answer, "choices", 0, "message", "content"))


async def respond(
    options: ChatOptions, vcon_uuid: str, metric: str, what: str, text: str, /, **request: Any
) -> str:
    """`complete` with OpenAI's Responses API, which gets one text and must not keep it.

    Raises:
        VendorError: if the last attempt failed, or the answer has no text.
        ValueError: if the text is longer than OpenAI accepts.
    """
    _require_short(text)
    asked = {"input": text, "store": False, **request}
    answer = await _asked(options, metric, "responses", asked)
    await _report(options, vcon_uuid, what, answer, ("input_tokens", "output_tokens"))
    with reading(SERVER, "text", answer):
        texts = list(_output_texts(answer))
    return _text_of("".join(texts))


def _output_texts(answer: Entry) -> Iterator[str]:
    """The texts of an answer of the Responses API, which may have other content beside them."""
    for output in answer.get("output") or ():
        for content in _at(output, "content") or ():
            text = _at(content, "text")
            if _at(content, "type") == "output_text" and isinstance(text, str):
                yield text


def _at(value: Any, *path: str | int) -> Any:
    """The value at a path of an answer; None if something on the way is of another kind."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


async def _report(
    options: ChatOptions, vcon_uuid: str, what: str, answer: Entry, names: tuple[str, str]
) -> None:
    if (tokens := numbers(answer.get("usage"), *names)) is not None:
        await report_usage(options, vcon_uuid, what, options.model, "tokens", *tokens)


def _key(options: ChatOptions, request: Mapping[str, Any]) -> dict[str, str]:
    """The header by which a server or a proxy before it knows a repetition of this request."""
    text = orjson.dumps(request, default=str).decode()
    return {"Idempotency-Key": effects.key(options.model, text)}


async def _asked(
    options: ChatOptions, metric: str, part: str, request: Mapping[str, Any]
) -> dict[str, Any]:
    """The answer to one request, with metrics of its time and failure."""
    began = time.perf_counter()
    try:
        answer = await options.api.ask(
            part,
            options.model,
            server=SERVER,
            retry=options.http_retry,
            headers=_key(options, request),
            json=request,
        )
    except VendorError:
        increment_counter(f"conserver.link.openai.{metric}_failures")
        raise
    record_histogram(f"conserver.link.openai.{metric}_time", time.perf_counter() - began)
    return answer


def _text_of(text: object) -> str:
    if not text or not isinstance(text, str):
        raise malformed(SERVER, "text", text)
    return text


def _require_short(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise ValueError(
            f"the text for the language model has {len(text)} characters, more than the "
            f"{MOST_CHARACTERS} that OpenAI accepts; remove media and long analyses before"
        )
