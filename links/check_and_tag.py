"""Asks a language model a yes-or-no question about each dialog, and tags the vCon on yes.

Reads the text of each dialog from an analysis, by default the transcript. Writes one analysis of
the type `analysis_type` per dialog, with `link_name`, `tag` and the boolean `applies` as JSON, and
the tag `tag_name:tag_value` if it applies to any dialog. A dialog that already has an answer for
the same tag, or has no text, is skipped, so a second run sends no request and adds no tag twice.
Each answer is stored at once. If the vCon is not in Redis, the chain ends.

The requests go to OpenAI, Azure or a LiteLLM proxy, depending on the options; OpenAI's own variable
`OPENAI_BASE_URL` changes the address of its API. Raises `VendorError` if the last attempt failed,
or the answer is neither yes nor no.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lib.ai.answers import objects_in
from lib.ai.chat import ChatOptions, SourceOptions, complete, messages
from lib.metrics import increment_counter
from lib.plain_calls import plain_too
from lib.vcon.dialogs import add_analysis
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_retry import VendorError
from links.tag import add_tags

only_through_lib = True
effect = "idempotent"

ROLE = "You judge texts. You are asked one question about a text and answer with yes or no."
FORM = (
    "Answer with a JSON object that has one key, `applies`: true if the answer is yes, false if it "
    "is no."
)


class Options(ChatOptions):
    """Options of the link."""

    tag_name: str = Field(min_length=1, description="the name of the tag")
    tag_value: str = Field(min_length=1, description="the value of the tag")
    evaluation_question: str = Field(
        min_length=1, description="the question; the tag is added if the answer is yes"
    )
    analysis_type: str = Field(
        "tag_evaluation", description="the type of the analysis that is written"
    )
    model: str = Field("gpt-5", description="the model")
    source: SourceOptions = Field(
        SourceOptions(text_location="body"),
        description="the type of the analysis that has the text, and the path of the text in it",
    )
    response_format: dict[str, Any] = Field(
        {"type": "json_object"}, description="OpenAI's `response_format`"
    )
    verbosity: str = Field("low", description="not sent, as with vcon-server")
    minimal_reasoning: bool = Field(True, description="not sent, as with vcon-server")

    @property
    def tag(self) -> str:
        """The tag as `name:value`."""
        return f"{self.tag_name}:{self.tag_value}"


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
    tag = {"tag": options.tag}
    for index, text in options.open_dialogs(document, options.analysis_type, tag):
        applies = await _applies(text, vcon_uuid, options)
        add_analysis(
            document,
            kind=options.analysis_type,
            dialog=index,
            vendor="openai",
            body={"link_name": link_name, **tag, "applies": applies},
            vendor_schema=options.model_dump(include={"model", "evaluation_question"}),
        )
        if applies and add_tags(document, [options.tag]):
            increment_counter("conserver.link.openai.tags_applied")
        await redis.store_vcon_dict(document)
    return vcon_uuid


async def _applies(text: str, vcon_uuid: str, options: Options) -> bool:
    question = f"Question: {options.evaluation_question}\n\nText:\n{text}\n\n{FORM}"
    request = {
        "messages": messages(ROLE, question),
        "response_format": options.response_format,
    }
    answer = await complete(options, vcon_uuid, "evaluation", "CHECK_AND_TAG", **request)
    for found in objects_in(answer):
        if isinstance(applies := found.get("applies"), bool):
            return applies
    raise VendorError("the language model's server answered neither yes nor no")
