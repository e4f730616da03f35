"""Stores vCons as files at OpenAI, and attaches them to a vector store for file search.

A vCon is the file `UUID.vcon.json`. In the vector store it has the attributes `vcon_uuid`,
`created_at`, `subject` and `content_sha256`, by which searches can filter, and those of the option
`attributes`. Saving again replaces the file: the new one is attached before the older one is
deleted, and a vCon that has not changed is not sent. The older file is searched among those that
are newer than the vCon, 10,000 with each request; `replace: false` saves that where many files are
kept and none is saved twice. An upload that is interrupted before it is attached leaves a file in
no store, until the vCon is deleted.

`delete` searches all files of the project with this `purpose`, and deletes those with the vCon's
name, in every store and in none. OpenAI gives no content back for the purposes `assistants` and
`user_data`: `get` returns None for these.

Better than vcon-server's, which uploads `null`: its Redis key lacks a prefix, it writes into the
working directory, and it calls an API that has been removed; it adds a file with each save and
deletes none.

Reads the vCon, which is stored in the format EGRESS_FORMAT_VERSION; writes nothing to it. Raises
`LookupError` for a vCon that is not in Redis, `ValueError` for an id that is not a uuid and for a
vCon over 512 MB, and `VendorError` if the last attempt got no answer or an error.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, SecretStr, StringConstraints

from lib.openai_client import get_async_openai_client
from lib.openai_options import UNSET, OpenAIOptions
from lib.options import PluginOptions
from lib.plain_calls import plain_too
from lib.vcon.fields import created_at, required_uuid
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from lib.web.answers import stored_vcon
from lib.web.http_retry import VendorError, call_vendor, status_of

__all__ = ["Options", "delete", "effect", "get", "only_through_lib", "save"]

only_through_lib = True
effect = "idempotent"

SERVER = "OpenAI"
NOT_ITS = f"{SERVER}: the answer is not one of its API; check OPENAI_BASE_URL and proxies"
ROUNDS = 3
"""How often a content is sent that another process deletes at the same moment."""
MOST_BYTES = 512 * 1024 * 1024
"""Bytes of a file that OpenAI accepts."""
MOST_ATTRIBUTES, LONGEST_VALUE = 16, 512
OWN_ATTRIBUTES = ("vcon_uuid", "created_at", "subject", "content_sha256")
PAGE, MOST_PAGES = 10_000, 500
EARLIER = timedelta(days=1)
"""How much earlier than its vCon a file may seem to be: clocks and time zones differ."""
WITHOUT_CONTENT = ("assistants", "user_data")
"""Purposes whose files OpenAI does not give back."""
_ID = re.compile(r"[\x21-\x7e]{1,200}")
"""An id as it can stand in the path of a request."""
NO_EFFECT = "+ without effect here: nothing is billed by tokens"

AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
AttributeText = Annotated[str, StringConstraints(max_length=LONGEST_VALUE)]


class Options(OpenAIOptions):
    """Options of the storage."""

    vector_store_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]*$")] = Field(
        "", description="the vector store (`vs_...`); without one, files are not attached"
    )
    purpose: Literal["assistants", "user_data", "evals"] = Field(
        "assistants", description="the purpose of the files; others do not accept JSON"
    )
    attributes: dict[AttributeName, AttributeText | float | bool] = Field(
        {},
        max_length=MOST_ATTRIBUTES - len(OWN_ATTRIBUTES),
        description="+ further attributes of each file in the vector store",
    )
    replace: bool = Field(
        True, description="+ whether the older file of a vCon is searched and deleted"
    )
    send_ai_usage_data_to_url: str = Field("", description=NO_EFFECT)
    ai_usage_api_token: SecretStr = Field(UNSET, description=NO_EFFECT)


type Document = dict[str, Any]
type Given = Mapping[str, Any] | PluginOptions | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Upload the vCon's current content in Redis, and delete its older file."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    content = orjson.dumps(to_configured_legacy(document))
    if len(content) > MOST_BYTES:
        raise ValueError(f"the vCon {uuid} has {len(content)} bytes, {SERVER} accepts {MOST_BYTES}")
    attributes = _attributes(document, uuid, content, options)
    for _ in range(ROUNDS):
        older = [each async for each in _older(options, uuid, document)] if options.replace else []
        if await _is_replaced(options, uuid, content, attributes, older):
            return
    raise VendorError(f"{SERVER} does not have the file of the vCon {uuid} that it was sent")


@plain_too
async def get(vcon_uuid: str, opts: Given = None) -> Document | None:
    """The vCon as last saved, or None; always None for purposes without content."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    if options.purpose in WITHOUT_CONTENT:
        return None
    async for file in _files(options, uuid, None):
        content = await _content(options, file.id)
        return stored_vcon(SERVER, content)
    return None


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete all files of the vCon; False if there was none."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    files = [file.id async for file in _files(options, uuid, None)]
    for file in files:
        await _remove(options, file)
    return bool(files)


async def _is_replaced(
    options: Options,
    uuid: str,
    content: bytes,
    attributes: dict[str, Any],
    older: list[tuple[str, str]],
) -> bool:
    """Upload the content unless it is there, and delete the older files.

    A process that saves at the same moment may count the kept one among its own older files. So
    after a deletion it is looked for; False if it is not there.
    """
    kept = next((file for file, digest in older if digest == attributes["content_sha256"]), None)
    if kept is None:
        kept = await _uploaded(options, uuid, content)
        await _attach(options, kept, attributes)
    removed = [file for file, _ in older if file != kept]
    for file in removed:
        await _remove(options, file)
    return not removed or await _exists(options, kept)


def _name(uuid: str) -> str:
    return f"{uuid}.vcon.json"


def _attributes(
    document: Document, uuid: str, content: bytes, options: Options
) -> dict[str, str | float | bool]:
    made, subject = created_at(document), document.get("subject")
    own = {
        "vcon_uuid": uuid,
        "created_at": made.isoformat() if made else "",
        "subject": str(subject)[:LONGEST_VALUE] if subject else "",
        "content_sha256": hashlib.sha256(content).hexdigest(),
    }
    return {**options.attributes, **{name: value for name, value in own.items() if value}}


async def _older(options: Options, uuid: str, document: Document) -> AsyncIterator[tuple[str, str]]:
    """The vCon's files in the vector store, newest first, each with the digest of its content.

    Without a store, all of the vCon's files; the digest is empty for these, and for a file that
    OpenAI could not index.
    """
    made = created_at(document)
    since = made - EARLIER if made and made <= datetime.now(UTC) else None
    async for file in _files(options, uuid, since):
        if not options.vector_store_id:
            yield file.id, ""
        elif (attached := await _attached(options, file.id)) is not None:
            digest = (attached.attributes or {}).get("content_sha256", "")
            yield file.id, "" if attached.status in ("failed", "cancelled") else str(digest)


async def _files(options: Options, uuid: str, since: datetime | None) -> AsyncIterator[Any]:
    """The files with the vCon's name, newest first, as far back as `since`."""
    after: dict[str, Any] = {}
    for _ in range(MOST_PAGES):
        page = await _page(options, after)
        for file in page.data:
            if since is not None and file.created_at < since.timestamp():
                return
            if file.filename == _name(uuid):
                yield file
        if not page.data or not page.has_more:
            return
        after = {"after": page.data[-1].id}
    raise VendorError(f"{SERVER} has more than {MOST_PAGES * PAGE} files; set replace: false")


async def _page(options: Options, after: Mapping[str, Any]) -> Any:
    how: dict[str, Any] = {"purpose": options.purpose, "limit": PAGE, "order": "desc", **after}
    page = await _call(options, lambda api: api.files.list(**how))
    files = getattr(page, "data", None)
    if not isinstance(files, list) or not all(map(_is_file, files)):
        raise VendorError(NOT_ITS)
    return page


def _is_file(found: object) -> bool:
    """The library checks no types, and leaves out what an answer lacks."""
    members = (("id", str), ("filename", str), ("created_at", int))
    is_whole = all(isinstance(getattr(found, name, None), kind) for name, kind in members)
    return is_whole and bool(_ID.fullmatch(getattr(found, "id", "")))


async def _uploaded(options: Options, uuid: str, content: bytes) -> str:
    """The id of the new file."""
    file = (_name(uuid), content, "application/json")
    made = await _call(options, lambda api: api.files.create(file=file, purpose=options.purpose))
    if not _is_file(made):
        raise VendorError(NOT_ITS)
    return str(made.id)


async def _attach(options: Options, file: str, attributes: dict[str, Any]) -> None:
    """Attach a file to the vector store; a file that cannot be attached is deleted."""
    store = options.vector_store_id
    if not store:
        return
    try:
        made = await _call(
            options,
            lambda api: api.vector_stores.files.create(store, file_id=file, attributes=attributes),
        )
    except VendorError:
        await _remove(options, file)
        raise
    if getattr(made, "id", None) != file:
        await _remove(options, file)
        raise VendorError(NOT_ITS)


async def _attached(options: Options, file: str) -> Any:
    """The file in the vector store, or None."""
    store = options.vector_store_id
    found = await _call(
        options, lambda api: _found(api.vector_stores.files.retrieve(file, vector_store_id=store))
    )
    if found is not None and getattr(found, "id", None) != file:
        raise VendorError(NOT_ITS)
    return found


async def _exists(options: Options, file: str) -> bool:
    return await _call(options, lambda api: _found(api.files.retrieve(file))) is not None


async def _remove(options: Options, file: str) -> None:
    """Delete a file, also from the vector store: one that lacks the file may still answer."""
    store = options.vector_store_id
    if store:
        await _call(
            options, lambda api: _found(api.vector_stores.files.delete(file, vector_store_id=store))
        )
    answer = await _call(options, lambda api: _found(api.files.delete(file)))
    if answer is not None and getattr(answer, "deleted", None) is not True:
        raise VendorError(NOT_ITS)


async def _found[T](request: Awaitable[T]) -> T | None:
    """The answer, or None for 404."""
    try:
        return await request
    except Exception as error:
        if status_of(error) == 404:
            return None
        raise


async def _content(options: Options, file: str) -> bytes | None:
    """The content of a file, or None if OpenAI does not give it back or no longer has it."""

    async def attempt(api: Any) -> bytes | None:
        try:
            return await _downloaded(api, file)
        except Exception as error:
            if status_of(error) in (400, 403, 404):
                return None
            raise

    return await _call(options, attempt)


async def _downloaded(api: Any, file: str) -> bytes:
    content = bytearray()
    async with api.files.with_streaming_response.content(file) as answer:
        async for some in answer.iter_bytes():
            content += some
            if len(content) > MOST_BYTES:
                raise VendorError(f"{SERVER} sends a file of more than {MOST_BYTES} bytes")
    return bytes(content)


async def _call[T](options: Options, attempt: Callable[[Any], Awaitable[T]]) -> T:
    api = get_async_openai_client(options.access, timeout=options.timeout)

    async def tried() -> T:
        try:
            return await attempt(api)
        except (AttributeError, TypeError, RecursionError):  # what the library makes of others
            raise VendorError(NOT_ITS) from None

    return await call_vendor(tried, options.http_retry, SERVER)
