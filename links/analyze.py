"""Analyses the text of each dialog with a language model, for example to write a summary.

Reads the text of each dialog from an analysis, by default the transcript. Writes one analysis of
the type `analysis_type` per dialog: the model's answer as text, with model and prompt as
`vendor_schema`. A dialog that already has one, or has no text, is skipped, so a second run sends no
request. Each answer is stored at once, so a later failure does not lose it. If the vCon is not in
Redis, the chain ends.

The requests go to OpenAI, Azure or a LiteLLM proxy, depending on the options; OpenAI's own variable
`OPENAI_BASE_URL` changes the address of its API. Raises `VendorError` if the last attempt failed.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lib.ai.chat import PromptOptions, complete, messages
from lib.openai_options import infer_vendor
from lib.plain_calls import plain_too
from lib.vcon.dialogs import add_analysis
from lib.vcon_redis import AsyncVconRedis

only_through_lib = True
effect = "idempotent"


class Options(PromptOptions):
    """Options of the link."""

    system_prompt: str = Field("You are a helpful assistant.", description="the system prompt")


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
        asked = messages(options.system_prompt, f"{options.prompt}\n\n{text}")
        request: dict[str, Any] = {"messages": asked, **options.sampling}
        add_analysis(
            document,
            kind=options.analysis_type,
            dialog=index,
            vendor=infer_vendor(options.access),
            body=await complete(options, vcon_uuid, "analysis", "ANALYZE", **request),
            vendor_schema={"model": options.model, "prompt": options.prompt},
        )
        await redis.store_vcon_dict(document)
    return vcon_uuid
