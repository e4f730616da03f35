"""Lets a language model write about each dialog: a summary, for example.

Reads the text of each dialog from an analysis, a transcript unless told otherwise. Writes an
analysis of the type `analysis_type` for each: the model's words as a text, with model and prompt as
`vendor_schema`. A dialog that has one already, or no text, is left alone, so a second run asks
nobody. Each answer is stored as it comes, so what was paid for is not lost when a later one fails.
A vCon that is not there ends the run.

OpenAI is asked, or Azure, or a LiteLLM proxy, as the options say; where OpenAI is, its own variable
`OPENAI_BASE_URL` may say. Raises `VendorError` when there is no answer in the end.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lib.ai.chat import ChatOptions, complete
from lib.dialogs import add_analysis
from lib.openai_client import get_vendor_from_opts
from lib.plain_calls import plain_too
from lib.vcon_redis import AsyncVconRedis

only_through_lib = True


class Options(ChatOptions):
    """What to ask."""

    prompt: str = Field("", description="what to do with the text, which follows it")
    analysis_type: str = Field("summary", description="the type of the analysis that is written")
    temperature: float | None = Field(
        None,
        description="how freely the model writes; not sent where it is not given, since some "
        "models take none (vcon-server sends 0); then the model's own default counts",
    )
    system_prompt: str = Field(
        "You are a helpful assistant.", description="what the model is told of itself"
    )


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the analyses that are missing; the uuid, or None when there is no such vCon."""
    options, redis = Options.of(opts), AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    if not options.wants(document, link_name):
        return vcon_uuid
    for index, text in options.open_dialogs(document, options.analysis_type):
        messages = [
            {"role": "system", "content": options.system_prompt},
            {"role": "user", "content": f"{options.prompt}\n\n{text}"},
        ]
        request: dict[str, Any] = {"messages": messages}
        if options.temperature is not None:
            request["temperature"] = options.temperature
        add_analysis(
            document,
            kind=options.analysis_type,
            dialog=index,
            vendor=get_vendor_from_opts(options.access),
            body=await complete(options, vcon_uuid, "analysis", "ANALYZE", **request),
            vendor_schema={"model": options.model, "prompt": options.prompt},
        )
        await redis.store_vcon_dict(document)
    return vcon_uuid
