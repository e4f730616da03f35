"""Analyses a whole vCon with a language model that answers with JSON.

Reads the vCon, which is sent as JSON without the bodies of its dialogs (`remove_body_properties`)
and without repetitions of the system prompt, which former analyses have in their `vendor_schema`.
Writes one analysis of the type `analysis_type` for the dialog 0: the model's JSON object, with
model and prompts as `vendor_schema`. A vCon that has an analysis of this type is left as it is, so
a second run sends no request. If the vCon is not in Redis, the chain ends.

The requests go to OpenAI, Azure or a LiteLLM proxy, depending on the options; OpenAI's own variable
`OPENAI_BASE_URL` changes the address of its API. Raises `VendorError` if the last attempt failed or
the answer has no JSON object, and `ValueError` for a vCon that is longer than OpenAI accepts.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import Field

from lib.ai.answers import objects_in
from lib.ai.chat import PromptOptions, complete, messages
from lib.metrics import increment_counter
from lib.openai_options import infer_vendor
from lib.plain_calls import plain_too
from lib.vcon.dialogs import Document, add_analysis
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_retry import VendorError

__all__ = ["Options", "effect", "only_through_lib", "run"]

effect = "idempotent"
only_through_lib = True

AS_JSON = "Answer with a JSON object."


class Options(PromptOptions):
    """Options of the link."""

    prompt: str = Field(
        "What does this vCon tell? Answer with a JSON object.",
        description="the instruction, which precedes the vCon",
    )
    analysis_type: str = Field(
        "json_analysis", description="the type of the analysis that is written"
    )
    system_prompt: str = Field(
        "You analyse records of conversations. You answer with one JSON object.",
        description="the system prompt",
    )
    remove_body_properties: bool = Field(
        True, description="whether the dialogs are sent without their `body`"
    )


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the analysis; returns the uuid, or None if the vCon is not in Redis."""
    options, redis = Options.of(opts), AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    if not options.wants(document, link_name) or _has(document, options.analysis_type):
        return vcon_uuid
    answer = await complete(
        options,
        vcon_uuid,
        "analysis",
        "ANALYZE_VCON",
        messages=messages(options.system_prompt, _question(document, options)),
        response_format={"type": "json_object"},
        **options.sampling,
    )
    add_analysis(
        document,
        kind=options.analysis_type,
        dialog=0 if document.get("dialog") else [],
        vendor=infer_vendor(options.access),
        body=_object_in(answer),
        vendor_schema=options.model_dump(include={"model", "prompt", "system_prompt"}),
    )
    await redis.store_vcon_dict(document)
    return vcon_uuid


def _has(document: Document, kind: str) -> bool:
    entries = document.get("analysis") or ()
    return any(isinstance(each, dict) and each.get("type") == kind for each in entries)


def _question(document: Document, options: Options) -> str:
    """The prompt and the vCon; OpenAI demands the word JSON somewhere for a JSON answer."""
    asks = "json" in f"{options.system_prompt}{options.prompt}".lower()
    prompt = options.prompt if asks else f"{options.prompt}\n{AS_JSON}"
    return f"{prompt}\n\n{orjson.dumps(_sendable(document, options)).decode()}"


def _sendable(document: Document, options: Options) -> Document:
    dialogs, analyses = document.get("dialog"), document.get("analysis")
    sent = dict(document)
    if options.remove_body_properties and isinstance(dialogs, list):
        sent["dialog"] = [_without_body(each) for each in dialogs]
    if isinstance(analyses, list):
        sent["analysis"] = [_without_prompt(each, options.system_prompt) for each in analyses]
    return sent


def _without_body(dialog: object) -> object:
    if not isinstance(dialog, dict):
        return dialog
    return {name: value for name, value in dialog.items() if name != "body"}


def _without_prompt(analysis: object, prompt: str) -> object:
    """The analysis with an empty text for the prompt in its `vendor_schema`."""
    schema = analysis.get("vendor_schema") if isinstance(analysis, dict) else None
    if not isinstance(analysis, dict) or not isinstance(schema, dict):
        return analysis
    kept = {name: "" if value == prompt else value for name, value in schema.items()}
    return {**analysis, "vendor_schema": kept}


def _object_in(answer: str) -> dict[str, Any]:
    for found in objects_in(answer):
        return found
    increment_counter("conserver.link.openai.invalid_json")
    raise VendorError("the language model's server answered without a JSON object")
