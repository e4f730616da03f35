"""Where a link puts what it was given: into an analysis, an attachment or tags of a vCon."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Literal

import orjson
from pydantic import Field

from lib.connections import ConnectionFailedError, filled
from lib.options import GuestOptions
from lib.vcon_redis import AsyncVconRedis

log = logging.getLogger(__name__)

VENDOR = "patchcord"

type StoreAs = Literal["analysis", "tag", "attachment"]
type Ask = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Given what `${vcon...}` and `${link...}` stand for, what came of it."""


class ResultOptions(GuestOptions):
    """What becomes of a result."""

    store_as: StoreAs | None = Field(
        None, description="what the outputs become; nothing if this is not given"
    )
    name: str | None = Field(
        None, description="the type, the purpose or the tag; the link's own name if not given"
    )
    value: Any = Field(
        None,
        description="what of the outputs is stored, such as `${result.rows[0].name}`; all of them "
        "if not given. A tag is made of each field of an object",
    )
    on_error: Literal["stop", "continue"] = Field(
        "stop", description="`stop` fails the run; `continue` stores nothing and goes on"
    )


async def ask_and_keep(
    vcon_uuid: str, link_name: str, options: ResultOptions, ask: Ask
) -> str | None:
    """Ask something about a vCon and keep the answer in it; the uuid, or None without a vCon.

    Raises what `ask` does, unless the options say that the chain goes on.
    """
    redis = AsyncVconRedis()
    document = await redis.get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    try:
        outputs = await ask({"vcon": document, "link": {"name": link_name}})
        value = outputs if options.value is None else filled(options.value, result=outputs)
    except (ConnectionFailedError, LookupError) as error:
        if options.on_error == "stop":
            raise
        log.warning("no result, and the chain goes on", extra={"error": str(error)})
        return vcon_uuid
    if options.store_as is not None:
        keep_result(document, options.store_as, options.name or link_name, value)
        await redis.store_vcon_dict(document)
    return vcon_uuid


def keep_result(document: dict[str, Any], store_as: StoreAs, name: str, value: Any) -> None:
    """Put a value into a vCon in the form of 0.4.0, in place of what the same name had."""
    match store_as:
        case "analysis":
            new = {"type": name, "vendor": VENDOR, **_body(value)}
            _put(document, "analysis", new, ("type", "vendor"))
        case "attachment":
            _put(document, "attachments", {"purpose": name, **_body(value)}, ("purpose",))
        case "tag":
            _put_tags(document, dict(tags_of(name, value)))


def tags_of(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The tags in a value: an object has one for each of its fields, anything else is one."""
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
    """A tag of the same name has another value from now on; the other tags stay."""
    attachments = document.setdefault("attachments", [])
    for entry in attachments:
        if isinstance(entry, dict) and entry.get("purpose") == "tags":
            break
    else:
        entry = {"purpose": "tags", "encoding": "json", "body": "[]"}
        attachments.append(entry)
    there = [tag for tag in _listed(entry.get("body")) if _name(tag) not in tags]
    wanted = [*there, *(f"{name}:{value}" for name, value in tags.items())]
    entry.update(body=orjson.dumps(wanted).decode(), encoding="json")


def _listed(body: object) -> list[Any]:
    try:
        tags = orjson.loads(body) if isinstance(body, str) else body
    except orjson.JSONDecodeError:
        return []
    return tags if isinstance(tags, list) else []


def _name(tag: object) -> str:
    return tag.partition(":")[0] if isinstance(tag, str) else ""
