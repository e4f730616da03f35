"""Sends a vCon to the lists that its tags say.

Reads the attachments with the purpose `tags` and writes nothing on the vCon: its uuid goes to the
tail of each list, once for each run of this link. Raises nothing; a vCon that is not there ends the
run.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import Field

from lib.options import GuestOptions
from lib.plain_calls import plain_too
from lib.queue import AsyncVconQueue
from lib.vcon_redis import AsyncVconRedis


class Options(GuestOptions):
    """Which tag leads where."""

    tag_routes: dict[str, str] = Field(
        {}, description="the name of a tag, and the list for vCons that have it, whatever its value"
    )
    forward_original: bool = Field(
        True, description="whether this chain goes on with a vCon that was sent elsewhere"
    )


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """The uuid, or None when the vCon was sent elsewhere only, or is not there."""
    options = Options.of(opts)
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    lists = routes(document, options.tag_routes)
    for name in lists:
        await AsyncVconQueue().enqueue(name, vcon_uuid)
    return vcon_uuid if options.forward_original or not lists else None


def routes(document: Mapping[str, Any], tag_routes: Mapping[str, str]) -> list[str]:
    """The lists that the tags of a vCon lead to, each once."""
    names = [
        name
        for entry in document.get("attachments", [])
        if isinstance(entry, dict) and "tags" in (entry.get("purpose"), entry.get("type"))
        for name in _names(entry.get("body"))
    ]
    return list(dict.fromkeys(tag_routes[name] for name in names if name in tag_routes))


def _names(body: object) -> list[str]:
    """The names of the tags in an attachment's body: a list of `name:value`, or an object."""
    try:
        tags = orjson.loads(body) if isinstance(body, str) else body
    except orjson.JSONDecodeError:
        return []
    if not isinstance(tags, list | dict):
        return []
    return [tag.partition(":")[0] for tag in tags if isinstance(tag, str)]
