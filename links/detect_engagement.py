"""Asks a language model whether both sides spoke in each dialog, and tags the vCon.

Reads the text of each dialog from an analysis, by default the transcript. Writes one analysis of
the type `analysis_type` per dialog with the body `true` or `false`, and the tag `engagement:true`
or `engagement:false`. A dialog that already has an analysis, or has no text, is skipped, so a
second run sends no request and adds no tag twice. Each answer is stored at once. If the vCon is not
in Redis, the chain ends.

The requests use OpenAI's Responses API, and ask that OpenAI does not keep them. They go to OpenAI,
Azure (whose version `AZURE_OPENAI_API_VERSION` must be at least `2025-03-01-preview` for this API)
or a LiteLLM proxy, depending on the options; OpenAI's own variable `OPENAI_BASE_URL` changes the
address of its API. Raises `VendorError` if the last attempt failed or the answer is neither true
nor false, and `ValueError` for a text that is longer than OpenAI accepts.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lib.ai.chat import PromptOptions, respond
from lib.metrics import increment_counter
from lib.openai_options import infer_vendor
from lib.plain_calls import plain_too
from lib.vcon.dialogs import add_analysis
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_retry import VendorError
from links.tag import add_tags

__all__ = ["Options", "effect", "only_through_lib", "run"]

effect = "idempotent"
only_through_lib = True

AROUND = " \t\r\n.!\"'`*"
"""What models put around the one word they are asked for."""


class Options(PromptOptions):
    """Options of the link."""

    prompt: str = Field(
        "Did the customer and the agent both speak? Answer with one word: true or false.",
        description="the question, which precedes the text; it has to ask for `true` or `false`",
    )
    analysis_type: str = Field(
        "engagement_analysis", description="the type of the analysis that is written"
    )
    model: str = Field("gpt-4.1", description="the model")


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the missing answers; returns the uuid, or None if the vCon is not in Redis."""
    options, redis = Options.of(opts), AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    if not options.wants(document, link_name):
        return vcon_uuid
    for index, text in options.open_dialogs(document, options.analysis_type):
        engaged = await _engagement(text, vcon_uuid, options)
        about = options.model_dump(include={"model", "prompt"})
        add_analysis(
            document,
            kind=options.analysis_type,
            dialog=index,
            vendor=infer_vendor(options.access),
            body=engaged,
            vendor_schema={**about, "is_engaged": engaged},
        )
        add_tags(document, [f"engagement:{engaged}"])
        increment_counter("conserver.link.openai.engagement_detected", int(engaged == "true"))
        await redis.store_vcon_dict(document)
    return vcon_uuid


async def _engagement(text: str, vcon_uuid: str, options: Options) -> str:
    """`true` or `false`."""
    question = f"{options.prompt}\n\nTranscript: {text}"
    names = ("engagement_analysis", "DETECT_ENGAGEMENT")
    answer = await respond(options, vcon_uuid, *names, question, **options.sampling)
    word = answer.strip(AROUND).lower()
    if word not in ("true", "false"):
        raise VendorError("the language model's server answered neither true nor false")
    return word
