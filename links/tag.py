"""Adds tags to a vCon.

Reads and writes the attachment with the purpose `tags`: a JSON list of `name:value`. Tags that the
vCon already has are not added, so a second run changes nothing. If the vCon is not in Redis, the
chain ends. Raises nothing.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import orjson
from pydantic import Field

from lib.options import PluginOptions
from lib.plain_calls import plain_too
from lib.vcon_redis import AsyncVconRedis

only_through_lib = True
effect = "pure"
pure = True


class Options(PluginOptions):
    """Options of the link."""

    tags: list[str] | dict[str, str] = Field(
        ["iron", "maiden"],
        description="a list of names, which are also the values (`iron:iron`); or + a mapping of "
        "names to values",
    )

    @cached_property
    def wanted(self) -> list[str]:
        """The tags as `name:value`, without duplicates."""
        named = self.tags if isinstance(self.tags, dict) else {name: name for name in self.tags}
        return [f"{name}:{value}" for name, value in named.items()]


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the missing tags; returns the uuid, or None if the vCon is not in Redis."""
    redis = AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    if add_tags(document, Options.of(opts).wanted):
        await redis.store_vcon_dict(document)
    return vcon_uuid


def add_tags(document: dict[str, Any], wanted: Iterable[str]) -> bool:
    """Add the missing tags to a vCon in the format 0.4.0, in place; True if it changed."""
    attachments = document.setdefault("attachments", [])
    holders = [(entry, tags) for entry in attachments if (tags := _tags(entry)) is not None]
    present = {tag for _, tags in holders for tag in tags if isinstance(tag, str)}
    missing = [tag for tag in dict.fromkeys(wanted) if tag not in present]
    if not missing:
        return False
    if not holders:
        attachments.append({"purpose": "tags"})
        holders = [(attachments[-1], [])]
    entry, tags = holders[0]
    entry.update(body=orjson.dumps([*tags, *missing]).decode(), encoding="json")
    return True


def _tags(entry: object) -> list[object] | None:
    """The tags in an attachment; None if it has another purpose or its body is not a list."""
    if not isinstance(entry, dict) or entry.get("purpose") != "tags":
        return None
    body = entry.get("body")
    try:
        tags = orjson.loads(body) if isinstance(body, str) else body
    except orjson.JSONDecodeError:
        return None
    return tags if isinstance(tags, list) else None
