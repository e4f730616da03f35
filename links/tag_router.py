"""Appends a vCon's uuid to the Redis lists configured for its tags.

Reads the attachments with the purpose `tags` and writes nothing to the vCon: its uuid is appended
to each list, once per run of this link. Raises nothing; if the vCon is not in Redis, the chain
ends.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import Field

from lib.options import PluginOptions
from lib.plain_calls import plain_too
from lib.queue import AsyncVconQueue
from lib.vcon_redis import AsyncVconRedis

# no `effect`: a repetition appends the uuid to the lists again


class Options(PluginOptions):
    """Options of the link."""

    tag_routes: dict[str, str] = Field(
        {}, description="a mapping of tag names (with any value) to Redis lists"
    )
    forward_original: bool = Field(
        True, description="whether this chain continues with a vCon that was appended to a list"
    )


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Returns the uuid; None if the vCon is not in Redis, or was routed without the original."""
    options = Options.of(opts)
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    lists = routes(document, options.tag_routes)
    for name in lists:
        await AsyncVconQueue().enqueue(name, vcon_uuid)
    return vcon_uuid if options.forward_original or not lists else None


def routes(document: Mapping[str, Any], tag_routes: Mapping[str, str]) -> list[str]:
    """The lists for the tags of a vCon, without duplicates."""
    names = [
        name
        for entry in document.get("attachments", [])
        if isinstance(entry, dict) and "tags" in (entry.get("purpose"), entry.get("type"))
        for name in _names(entry.get("body"))
    ]
    return list(dict.fromkeys(tag_routes[name] for name in names if name in tag_routes))


def _names(body: object) -> list[str]:
    """The tag names in an attachment's body: a list of `name:value`, or an object."""
    try:
        tags = orjson.loads(body) if isinstance(body, str) else body
    except orjson.JSONDecodeError:
        return []
    if not isinstance(tags, list | dict):
        return []
    return [tag.partition(":")[0] for tag in tags if isinstance(tag, str)]
