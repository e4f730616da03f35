"""Tags a vCon.

Reads and writes the attachment with the purpose `tags`: a JSON text that lists `name:value`. Tags
that the vCon has already are left alone, so a second run changes nothing. A vCon that is not there
ends the run. Raises nothing.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import orjson
from pydantic import Field

from lib.options import GuestOptions
from lib.plain_calls import plain_too
from lib.vcon_redis import AsyncVconRedis

only_through_lib = True


class Options(GuestOptions):
    """Which tags."""

    tags: list[str] | dict[str, str] = Field(
        ["iron", "maiden"],
        description="a list of names, each of which is its own value too (`iron:iron`); "
        "or + a mapping of names to values",
    )

    @cached_property
    def wanted(self) -> list[str]:
        """The tags as `name:value`, each once."""
        named = self.tags if isinstance(self.tags, dict) else {name: name for name in self.tags}
        return [f"{name}:{value}" for name, value in named.items()]


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Add the tags that are missing; the uuid, or None when there is no such vCon."""
    redis = AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    if add_tags(document, Options.of(opts).wanted):
        await redis.store_vcon_dict(document)
    return vcon_uuid


def add_tags(document: dict[str, Any], wanted: Iterable[str]) -> bool:
    """Add the tags that are missing to a vCon in the form of 0.4.0, in place; whether any were."""
    attachments = document.setdefault("attachments", [])
    holders = [(entry, tags) for entry in attachments if (tags := _tags(entry)) is not None]
    there = {tag for _, tags in holders for tag in tags if isinstance(tag, str)}
    missing = [tag for tag in wanted if tag not in there]
    if not missing:
        return False
    if not holders:
        attachments.append({"purpose": "tags"})
        holders = [(attachments[-1], [])]
    entry, tags = holders[0]
    entry.update(body=orjson.dumps([*tags, *missing]).decode(), encoding="json")
    return True


def _tags(entry: object) -> list[object] | None:
    """The tags in an attachment, or None for one that holds none or cannot be read."""
    if not isinstance(entry, dict) or entry.get("purpose") != "tags":
        return None
    body = entry.get("body")
    try:
        tags = orjson.loads(body) if isinstance(body, str) else body
    except orjson.JSONDecodeError:
        return None
    return tags if isinstance(tags, list) else None
