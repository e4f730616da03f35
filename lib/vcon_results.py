"""Stores a link's result in a vCon: as an analysis, an attachment or tags."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Literal

import orjson
from pydantic import Field

from lib.connections import ConnectionFailedError, filled
from lib.options import PluginOptions
from lib.vcon_redis import AsyncVconRedis

log = logging.getLogger(__name__)

VENDOR = "patchcord"

type StoreAs = Literal["analysis", "tag", "attachment"]
type Query = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Takes the values for `${vcon...}` and `${link...}`, returns the outputs."""


class ResultOptions(PluginOptions):
    """Options of links that store a result."""

    store_as: StoreAs | None = Field(
        None, description="where the outputs are stored; unset: nowhere"
    )
    name: str | None = Field(
        None,
        description="the analysis type, the attachment's purpose or the tag; unset: the link's "
        "name",
    )
    value: Any = Field(
        None,
        description="the part of the outputs to store, such as `${result.rows[0].name}`; unset: "
        "all outputs. Each field of an object becomes a tag",
    )
    on_error: Literal["stop", "continue"] = Field(
        "stop",
        description="`stop` fails the attempt; `continue` stores nothing and continues the chain",
    )


async def query_and_store(
    vcon_uuid: str, link_name: str, options: ResultOptions, query: Query
) -> str | None:
    """Run `query` for a vCon and store its outputs; the uuid, or None if there is no such vCon.

    Raises the errors of `query`, unless `on_error` is `continue`.
    """
    redis = AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    try:
        outputs = await query({"vcon": document, "link": {"name": link_name}})
        value = outputs if options.value is None else filled(options.value, result=outputs)
    except (ConnectionFailedError, LookupError) as error:
        if options.on_error == "stop":
            raise
        log.warning("no result, chain continued", extra={"error": str(error)})
        return vcon_uuid
    if options.store_as is not None:
        store_result(document, options.store_as, options.name or link_name, value)
        await redis.store_vcon_dict(document)
    return vcon_uuid


def store_result(document: dict[str, Any], store_as: StoreAs, name: str, value: Any) -> None:
    """Store a value in a vCon in the format 0.4.0; replaces an earlier value of the same name."""
    match store_as:
        case "analysis":
            new = {"type": name, "vendor": VENDOR, **_body(value)}
            _put(document, "analysis", new, ("type", "vendor"))
        case "attachment":
            _put(document, "attachments", {"purpose": name, **_body(value)}, ("purpose",))
        case "tag":
            _put_tags(document, dict(tags_of(name, value)))


def tags_of(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Name and text of each tag for a value: one per field of an object and item of a list."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from tags_of(str(key), each)
    elif isinstance(value, list):
        for each in value:
            yield from tags_of(name, each)
    elif value is not None:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)


def _body(value: Any) -> dict[str, Any]:
    return {"body": orjson.dumps(value).decode(), "encoding": "json"}


def _put(
    document: dict[str, Any], section: str, new: dict[str, Any], identity: tuple[str, ...]
) -> None:
    entries = document.setdefault(section, [])
    for entry in entries:
        if isinstance(entry, dict) and all(entry.get(key) == new[key] for key in identity):
            entry.update(new)
            return
    entries.append(new)


def _put_tags(document: dict[str, Any], tags: Mapping[str, str]) -> None:
    """Replace the tags with these names and keep the others."""
    attachments = document.setdefault("attachments", [])
    for entry in attachments:
        if isinstance(entry, dict) and entry.get("purpose") == "tags":
            break
    else:
        entry = {"purpose": "tags", "encoding": "json", "body": "[]"}
        attachments.append(entry)
    others = [tag for tag in _listed(entry.get("body")) if _name(tag) not in tags]
    updated = [*others, *(f"{name}:{value}" for name, value in tags.items())]
    entry.update(body=orjson.dumps(updated).decode(), encoding="json")


def _listed(body: object) -> list[Any]:
    try:
        tags = orjson.loads(body) if isinstance(body, str) else body
    except orjson.JSONDecodeError:
        return []
    return tags if isinstance(tags, list) else []


def _name(tag: object) -> str:
    return tag.partition(":")[0] if isinstance(tag, str) else ""
