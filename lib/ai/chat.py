"""Asking a language model about the dialogs of a vCon, in the way of vcon-server's links."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lib.ai_usage import report_usage
from lib.dialogs import Document, Entry, analysis_of, dialogs, text_at
from lib.links.filters import is_included, is_sampled
from lib.metrics import increment_counter, record_histogram
from lib.openai_client import get_async_openai_client
from lib.openai_options import OpenAIOptions
from lib.web.http_retry import VendorError, ask

# Reading JSON out of what a language model says.

MOST_TRIES = 1000
"""Places in one answer at which an object may begin; an answer with more is not read further."""
_decoder = json.JSONDecoder(strict=False)  # models leave line breaks in texts as they are


def objects_in(answer: str) -> Iterator[dict[str, Any]]:
    """Each JSON object in an answer, from the last to the first.

    Models put an object into a code fence, or words around it, though they are asked for nothing
    but the object. What they settle on is usually what they say last.
    """
    yield from reversed(list(_from_the_left(answer)))


def _from_the_left(answer: str) -> Iterator[dict[str, Any]]:
    position = 0
    for _ in range(MOST_TRIES):
        position = answer.find("{", position)
        if position < 0:
            return
        try:
            found, position = _decoder.raw_decode(answer, position)
        except (ValueError, RecursionError):
            position += 1
        else:
            yield found


log = logging.getLogger(__name__)


class SourceOptions(BaseModel):
    """Which analysis of a dialog has the text, and where in it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    analysis_type: str = "transcript"
    text_location: str = "body.paragraphs.transcript"


class ChatOptions(OpenAIOptions):
    """Which vCons, which text of them, and which model."""

    model: str = Field("gpt-3.5-turbo-16k", description="the model")
    source: SourceOptions = Field(
        SourceOptions(),
        description="the type of the analysis that has the text, and the path of the text in it",
    )
    only_if: dict[str, str | None] | None = Field(
        None,
        description="leaves alone all vCons but those with an entry of such a `type` or `purpose` "
        "in a `section` (`attachments` or `analysis`) that `includes` this text or tag",
    )
    sampling_rate: float = Field(
        1,
        ge=0,
        le=1,
        description="the share of vCons it is done for, 0 for none; the same vCon is always "
        "treated alike",
    )

    def wants(self, document: Document, link_name: str) -> bool:
        """Whether the link is for this vCon."""
        options = {"only_if": self.only_if, "sampling_rate": self.sampling_rate}
        return is_included(options, document) and is_sampled(options, link_name, document["uuid"])

    def open_dialogs(
        self, document: Document, kind: str, made_by: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[int, str]]:
        """Index and text of each dialog that has a text, and no analysis of this kind yet."""
        for index, _ in dialogs(document):
            source = analysis_of(document, index, self.source.analysis_type)
            text = text_at(source or {}, self.source.text_location)
            if not text:
                log.warning("dialog has no text to read", extra={"vcon": document["uuid"]})
            elif not _is_done(document, index, kind, made_by or {}):
                yield index, text


def _is_done(document: Document, index: int, kind: str, made_by: Mapping[str, Any]) -> bool:
    """Whether there is such an analysis, with these values in its body."""
    found: list[Entry] = [
        each
        for each in document.get("analysis") or ()
        if analysis_of({"analysis": [each]}, index, kind)
    ]
    return any(all(text_at(each, f"body.{k}") == v for k, v in made_by.items()) for each in found)


async def complete(
    options: ChatOptions, vcon_uuid: str, metric: str, what: str, **request: Any
) -> str:
    """What the model says; `request` is as for the vendor's own `chat.completions.create`.

    It is measured as `conserver.link.openai.METRIC_time` and `_failures`, and reported as `what`.

    Raises:
        VendorError: when there is no answer in the end, or none in words.
    """
    client = get_async_openai_client(options.access, timeout=options.timeout)
    began = time.perf_counter()
    try:
        answer = await ask(
            lambda: client.chat.completions.create(model=options.model, **request),
            options.patience,
            "the language model's server",
        )
    except VendorError:
        increment_counter(f"conserver.link.openai.{metric}_failures")
        raise
    record_histogram(f"conserver.link.openai.{metric}_time", time.perf_counter() - began)
    if usage := answer.usage:
        tokens = (usage.prompt_tokens, usage.completion_tokens)
        await report_usage(options, vcon_uuid, what, options.model, "tokens", *tokens)
    text = answer.choices[0].message.content if answer.choices else None
    if not text:
        raise VendorError("the language model's server answered without any words")
    return str(text)
