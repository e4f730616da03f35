"""Lets a language model label each dialog, and adds the labels to the vCon's tags.

Reads the text of each dialog from an analysis, by default the transcript. Writes one analysis of
the type `analysis_type` per dialog, with the model's JSON object, and a tag `label:label` for each
item of its `labels`. An answer without a JSON object is stored as text, with `parse_error` in its
`vendor_schema`, and adds no tags. Of the labels, the first 100 with at most 200 characters become
tags. A dialog that already has an analysis, or has no text, is skipped, so a second run sends no
request and adds no tag twice. Each answer is stored at once. If the vCon is not in Redis, the chain
ends.

The requests go to OpenAI, Azure or a LiteLLM proxy, depending on the options; OpenAI's own variable
`OPENAI_BASE_URL` changes the address of its API. Raises `VendorError` if the last attempt failed,
and `ValueError` for a text that is longer than OpenAI accepts.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pydantic import Field

from lib.ai.answers import objects_in
from lib.ai.chat import PromptOptions, complete, messages
from lib.metrics import increment_counter
from lib.openai_options import infer_vendor
from lib.plain_calls import plain_too
from lib.vcon.dialogs import Document, add_analysis
from lib.vcon_redis import AsyncVconRedis
from links.tag import add_tags

__all__ = ["Options", "effect", "only_through_lib", "run"]

effect = "idempotent"
only_through_lib = True

ROLE = "You label texts. You answer with one JSON object."
MOST_LABELS = 100
LONGEST_LABEL = 200
NO_OBJECT = "the answer has no JSON object"


class Options(PromptOptions):
    """Options of the link."""

    prompt: str = Field(
        "Which labels describe this transcript best? Answer with a JSON object that has one key, "
        "`labels`: a list of short strings.",
        description="the instruction, which precedes the text; it has to ask for a JSON object "
        "with a list `labels`",
    )
    analysis_type: str = Field(
        "labeled_analysis", description="the type of the analysis that is written"
    )
    model: str = Field("gpt-4-turbo", description="the model")
    response_format: dict[str, Any] = Field(
        {"type": "json_object"}, description="OpenAI's `response_format`"
    )


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the missing analyses; returns the uuid, or None if the vCon is not in Redis."""
    options, redis = Options.of(opts), AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    if not options.wants(document, link_name):
        return vcon_uuid
    for index, text in options.open_dialogs(document, options.analysis_type):
        answer = await complete(
            options,
            vcon_uuid,
            "analysis",
            "ANALYZE_AND_LABEL",
            messages=messages(ROLE, f"{options.prompt}\n\n{text}"),
            response_format=options.response_format,
            **options.sampling,
        )
        _add(document, index, answer, options)
        await redis.store_vcon_dict(document)
    return vcon_uuid


def _add(document: Document, index: int, answer: str, options: Options) -> None:
    """The analysis and the tags of one answer."""
    found = list(objects_in(answer))
    labelled = next((each for each in found if isinstance(each.get("labels"), list)), None)
    body: object = labelled or next(iter(found), None) or answer
    about: dict[str, Any] = options.model_dump(include={"model", "prompt"})
    if not found:
        increment_counter("conserver.link.openai.json_parse_failures")
        about["parse_error"] = NO_OBJECT
    add_analysis(
        document,
        kind=options.analysis_type,
        dialog=index,
        vendor=infer_vendor(options.access),
        body=body,
        vendor_schema=about,
    )
    labels = list(islice(_labels(labelled or {}), MOST_LABELS))
    add_tags(document, [f"{label}:{label}" for label in labels])
    increment_counter("conserver.link.openai.labels_added", len(labels))


def _labels(found: Mapping[str, Any]) -> Iterator[str]:
    for each in found.get("labels") or ():
        is_simple = isinstance(each, str | int | float) and not isinstance(each, bool)
        label = str(each).strip() if is_simple else ""
        if 0 < len(label) <= LONGEST_LABEL:
            yield label
