"""Indexes the parts of vCons in Elasticsearch for search.

Each party, attachment, analysis and dialog is a document with the id `UUID_NUMBER` and, besides its
own members, `vcon_id`, `started_at` (the start of the first dialog, or else `created_at`) and
`tenant_id`, if the vCon has an attachment `tenant` with an `id`. JSON texts become objects. Saving
again replaces them: documents of parts that no longer exist, or that had another role, purpose or
type, are deleted. The parts of each vCon are listed in one document of a separate index. The other
indexes are vcon-server's, after `index_prefix`:

| index | content |
|---|---|
| `vcon_parties`, `vcon_parties_ROLE` | parties, by role |
| `vcon_attachments_PURPOSE` | attachments, by purpose |
| `vcon_analysis_TYPE` | analyses, by type |
| `vcon_dialog` | dialogs |
| `patchcord_parts` | the list of parts of each vCon, by its uuid |

Roles, purposes and types come from the vCon. Those in `index_names` have an index of their own, or
else the first `max_indexes`, with at most 100 bytes of each name; the parts of all others are in
`vcon_parties_other`, `vcon_attachments_other` and `vcon_analysis_other`. The names in use are
stored on the server, in the document `index_names` of `patchcord_parts`, so that all processes
share the limit. That document is initialised from the existing indexes, which requires the
privilege `view_index_metadata`. After deleting indexes, delete it and restart the service to
initialise it again.

vCons that are saved at the same time share a bulk request; one that is refused fails alone, and
what may succeed later (429, 5xx) is sent again without what has succeeded.

Requires Elasticsearch 8. Certificates are verified unless `verify_certs` is off. Reads the vCon,
writes nothing to it. Raises `LookupError` for a vCon that is not in Redis, `ValueError` for an id
that is not a uuid, and `VendorError` if the server cannot be reached or refuses a part. The vCon
cannot be read back from its parts.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from elastic_transport import HttpxAsyncHttpNode
from elasticsearch import AsyncElasticsearch

from lib.plain_calls import plain_too
from lib.shared_calls import SharedCalls
from lib.vcon.fields import required_uuid
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from lib.web import http_client
from lib.web.answers import reading
from lib.web.http_retry import call_vendor
from storage.elasticsearch.bulk import (
    MOST_BYTES,
    MOST_VCONS,
    SERVER,
    Answer,
    Changes,
    RefusedError,
    sent,
    splits,
)
from storage.elasticsearch.options import Options
from storage.elasticsearch.parts import (
    IndexNames,
    documents,
    note_of,
    notes_index,
    operations,
    places_in,
)
from storage.elasticsearch.registry import Registry

__all__ = ["Options", "close", "delete", "effect", "only_through_lib", "save"]

only_through_lib = True
effect = "idempotent"

type Given = Mapping[str, Any] | Options | None


class Server(NamedTuple):
    """The arguments of a client, which a vCon's options name."""

    access: tuple[tuple[str, Any], ...]
    timeout: float


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Index the parts of the vCon's current content in Redis, and delete outdated ones.

    The list of the last save's parts is read by id, which returns the latest write; a query would
    see it a second later. While parts are replaced, the list has both the old and the new ones, so
    that a later save finds all of them if this one is interrupted.
    """
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    prefix = options.index_prefix.strip()
    legacy, names = to_configured_legacy(document), _names(options)
    await _registry(options, prefix).admit(names, legacy)
    parts = documents(legacy, prefix, names)
    noted = places_in(await _note(options, prefix, name), name)
    gone = noted - parts.keys()
    note_place = (notes_index(prefix), name)
    note = {note_place: note_of(parts)} if noted != parts.keys() else {}
    if gone:
        await _bulk(options, name, operations({note_place: note_of(noted | parts.keys())}))
        await _bulk(options, name, operations(parts, sorted(gone)))
        await _bulk(options, name, operations(note))
    elif changes := operations({**parts, **note}):
        await _bulk(options, name, changes)


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete all parts of the vCon; False if there were none."""
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    client, prefix = _client(options), options.index_prefix.strip()
    indexes: dict[str, Any] = {"index": f"{prefix}vcon*", "ignore_unavailable": True}
    # A query sees the index as of its last refresh, up to a second ago.
    await call_vendor(lambda: client.indices.refresh(**indexes), options.http_retry, SERVER)
    answer = await call_vendor(
        lambda: client.delete_by_query(
            **indexes,
            # The whole uuid: `match` would also find a part of it.
            query={"match_phrase": {"vcon_id": name}},
            refresh=True,
        ),
        options.http_retry,
        SERVER,
    )
    with reading(SERVER, "the number of deleted parts", answer.body):
        deleted = int(answer.body["deleted"])
    await _bulk(options, name, operations({}, [(notes_index(prefix), name)]))
    return deleted > 0


def _registry(options: Options, prefix: str) -> Registry:
    return Registry(_client(options), options.http_retry, SERVER, prefix)


async def _note(options: Options, prefix: str, name: str) -> object:
    """The stored list of the vCon's parts, or None."""
    client = _client(options).options(ignore_status=404)
    answer = await call_vendor(
        lambda: client.get(index=notes_index(prefix), id=name), options.http_retry, SERVER
    )
    return answer.body.get("_source") if isinstance(answer.body, dict) else None


@lru_cache(maxsize=1000)
def _kept_names(
    _server: str, _prefix: str, allowed: tuple[str, ...] | None, most: int
) -> IndexNames:
    return IndexNames(allowed, most)


def _names(options: Options) -> IndexNames:
    """The names of indexes in use, shared by all vCons of one server and prefix."""
    allowed = None if options.index_names is None else tuple(options.index_names)
    server = options.cloud_id or ",".join(options.servers)
    return _kept_names(server, options.index_prefix.strip(), allowed, options.max_indexes)


async def _bulk(options: Options, name: str, operations: Sequence[bytes]) -> None:
    """Make the changes of one vCon, together with those of others that wait."""
    left = Changes(name, operations)

    async def attempt() -> None:
        nonlocal left
        try:
            await _sent(_server(options), left)
        except RefusedError as error:
            left = error.left
            raise

    await call_vendor(attempt, options.http_retry, SERVER)


async def _send(server: Server, given: Sequence[Changes]) -> Sequence[Exception | None]:
    async def send(operations: Sequence[bytes]) -> Answer:
        answer = await _client_of(server).bulk(operations=operations)  # type: ignore[arg-type]  # lines
        body: Answer = answer.body
        return body

    return await sent(send, given)


_sent: SharedCalls[Server, Changes] = SharedCalls(
    _send,
    server=SERVER,
    most_items=MOST_VCONS,
    most_bytes=MOST_BYTES,
    bytes_of=lambda changes: changes.size,
    name_of=lambda changes: changes.name,
    splits=splits,
    calls=4,
)


async def close() -> None:
    """Close the clients of this event loop and drop the cached names in use."""
    await http_client.close("elasticsearch")
    _kept_names.cache_clear()


def _client(options: Options) -> AsyncElasticsearch:
    return _client_of(_server(options))


def _server(options: Options) -> Server:
    return Server(tuple(sorted(options.access().items())), options.timeout)


def _client_of(server: Server) -> AsyncElasticsearch:
    return http_client.kept(
        ("elasticsearch", *server),
        lambda: AsyncElasticsearch(
            **dict(server.access),
            node_class=HttpxAsyncHttpNode,
            request_timeout=server.timeout,
            max_retries=0,
        ),
    )
