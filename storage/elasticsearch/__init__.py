"""Makes vCons findable in Elasticsearch, part by part.

Each party, attachment, analysis and dialog is a document of its own, with the id `UUID_NUMBER` and,
beside what it has itself, `vcon_id`, `started_at` (when the first dialog began, or else when the
vCon was made) and `tenant_id`, if the vCon has an attachment `tenant` with an `id`. JSON texts
become objects. Saving again replaces them: parts that the vCon no longer has, and those that had
another role, purpose or type before, are deleted. Which parts a vCon has is noted in one document
of an index of its own. The other indexes are vcon-server's, after `index_prefix`:

| index | what |
|---|---|
| `vcon_parties`, `vcon_parties_ROLE` | parties, by role |
| `vcon_attachments_PURPOSE` | attachments, by purpose |
| `vcon_analysis_TYPE` | analyses, by type |
| `vcon_dialog` | dialogs |
| `patchcord_parts` | which parts there are, by the uuid of the vCon |

Roles, purposes and types stand in the vCon: `index_names` says which have an index of their own,
else the first `max_indexes` have, with at most 100 bytes of each; the parts of all others are in
`vcon_parties_other`, `vcon_attachments_other` and `vcon_analysis_other`. Names in use are noted on
the server, in the document `index_names` of `patchcord_parts`: all processes share the limit. The
note begins with the indexes that are there, which takes the right `view_index_metadata`. After
indexes were deleted, delete it and start the service again: it is made anew.

Elasticsearch 8 is meant. Certificates are checked unless `verify_certs` is off. Reads the vCon,
writes nothing on it. Raises `LookupError` for a vCon that is not in Redis, `ValueError` for a text
that is not a uuid, and `VendorError` when the server cannot be reached or refuses a part. The vCon
cannot be read back from its parts.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from elastic_transport import HttpxAsyncHttpNode
from elasticsearch import AsyncElasticsearch

from lib.plain_calls import plain_too
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_fields import required_uuid
from lib.vcon_redis import AsyncVconRedis
from lib.web import http_client
from lib.web.http_retry import VendorError, ask
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

__all__ = ["Options", "close", "delete", "only_through_lib", "save"]

only_through_lib = True

SERVER = "Elasticsearch"

type Given = Mapping[str, Any] | Options | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Index the parts of the vCon as it is now in Redis, and delete those that it had before.

    The note of the last save's parts is read by id, which sees what has just been written; a query
    sees it a second later. While parts are replaced the note names both the old and the new ones,
    so that a later save finds all of them, wherever this one ends.
    """
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    prefix = options.index_prefix.strip()
    legacy, names = to_configured_legacy(document), _names(options)
    await _registry(options, prefix).admit(names, legacy)
    parts = documents(legacy, prefix, names)
    noted = places_in(await _note(options, prefix, name), name)
    gone = noted - parts.keys()
    note_place = (notes_index(prefix), name)
    note = {note_place: note_of(parts)} if noted != parts.keys() else {}
    if gone:
        await _bulk(options, operations({note_place: note_of(noted | parts.keys())}))
        await _bulk(options, operations(parts, sorted(gone)))
        await _bulk(options, operations(note))
    elif asked := operations({**parts, **note}):
        await _bulk(options, asked)


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Remove all parts of the vCon; False when there were none."""
    options, name = Options.of(opts), required_uuid(vcon_uuid)
    client, prefix = _client(options), options.index_prefix.strip()
    indexes: dict[str, Any] = {"index": f"{prefix}vcon*", "ignore_unavailable": True}
    # A query sees only what was there at the last refresh, which is up to a second ago.
    await ask(lambda: client.indices.refresh(**indexes), options.patience, SERVER)
    answer = await ask(
        lambda: client.delete_by_query(
            **indexes,
            # All of the uuid, in its order: `match` would be content with one part of it.
            query={"match_phrase": {"vcon_id": name}},
            refresh=True,
        ),
        *(options.patience, SERVER),
    )
    await _bulk(options, operations({}, [(notes_index(prefix), name)]))
    return bool(answer["deleted"])


def _registry(options: Options, prefix: str) -> Registry:
    return Registry(_client(options), options.patience, SERVER, prefix)


async def _note(options: Options, prefix: str, name: str) -> object:
    """The note of the vCon's parts; None when there is none."""
    client = _client(options).options(ignore_status=404)
    answer = await ask(
        lambda: client.get(index=notes_index(prefix), id=name), options.patience, SERVER
    )
    return answer.body.get("_source") if isinstance(answer.body, dict) else None


@lru_cache(maxsize=1000)
def _kept_names(
    _server: str, _prefix: str, allowed: tuple[str, ...] | None, most: int
) -> IndexNames:
    return IndexNames(allowed, most)


def _names(options: Options) -> IndexNames:
    """The names of indexes in use, those of one server and prefix together."""
    allowed = None if options.index_names is None else tuple(options.index_names)
    server = options.cloud_id or options.url
    return _kept_names(server, options.index_prefix.strip(), allowed, options.max_indexes)


async def _bulk(options: Options, asked: list[dict[str, Any]]) -> None:
    client = _client(options)
    answer = await ask(lambda: client.bulk(operations=asked), options.patience, SERVER)
    if answer["errors"]:
        raise VendorError(f"{SERVER} refused {_refusals(answer['items'])}")


async def close() -> None:
    """Close the connections; they are made anew, and names read anew, when they are wanted."""
    await http_client.close("elasticsearch")
    _kept_names.cache_clear()


def _refusals(items: list[dict[str, Any]]) -> str:
    """How many parts were refused, and why the first was; never what is in it."""
    outcomes = [outcome for item in items for outcome in item.values()]
    failed = [outcome for outcome in outcomes if "error" in outcome]
    first = failed[0]["error"].get("type", "")
    return f"{len(failed)} of {len(items)} parts, the first ({failed[0]['_index']}) for {first}"


def _client(options: Options) -> AsyncElasticsearch:
    access = options.access()
    return http_client.kept(
        ("elasticsearch", *sorted(access.items(), key=str), options.timeout),
        lambda: AsyncElasticsearch(
            **access,
            node_class=HttpxAsyncHttpNode,
            request_timeout=options.timeout,
            max_retries=0,
        ),
    )
