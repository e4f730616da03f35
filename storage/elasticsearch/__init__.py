"""Makes vCons findable in Elasticsearch, part by part.

Each party, attachment, analysis and dialog is a document of its own, with the id `UUID_NUMBER` and,
beside what it has itself, `vcon_id`, `started_at` (when the first dialog began, or else when the
vCon was made) and `tenant_id`, if the vCon has an attachment `tenant` with an `id`. JSON texts
become objects. Saving again replaces each part that is there again; parts that the vCon no longer
has, and those of another role, purpose or type than before, stay until it is deleted, as with
vcon-server. The indexes are vcon-server's, after `index_prefix`:

| index | what |
|---|---|
| `vcon_parties`, `vcon_parties_ROLE` | parties, by role |
| `vcon_attachments_PURPOSE` | attachments, by purpose |
| `vcon_analysis_TYPE` | analyses, by type |
| `vcon_dialog` | dialogs |

Elasticsearch 8 is meant. Certificates are checked unless `verify_certs` is off. Reads the vCon,
writes nothing on it. Raises `LookupError` for a vCon that is not in Redis, and `VendorError` when
the server cannot be reached or refuses a part. The vCon cannot be read back from its parts.
"""

from collections.abc import Mapping
from typing import Any

from elastic_transport import HttpxAsyncHttpNode
from elasticsearch import AsyncElasticsearch

from lib import http_client
from lib.patience import VendorError, ask
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from storage.elasticsearch.options import Options
from storage.elasticsearch.parts import operations

__all__ = ["Options", "close", "delete", "only_through_lib", "save"]

only_through_lib = True

SERVER = "Elasticsearch"

type Given = Mapping[str, Any] | Options | None


async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Index the parts of the vCon as it is now in Redis, in one request."""
    options = Options.of(opts)
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    asked = operations(to_configured_legacy(document), options.index_prefix.strip())
    if not asked:
        return
    client = _client(options)
    answer = await ask(lambda: client.bulk(operations=asked), options.patience, SERVER)
    if answer["errors"]:
        raise VendorError(f"{SERVER} refused {_refusals(answer['items'])}")


async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Remove all parts of the vCon; False when there were none."""
    options = Options.of(opts)
    client = _client(options)
    answer = await ask(
        lambda: client.delete_by_query(
            index=f"{options.index_prefix.strip()}vcon*",
            # All of the uuid, in its order: `match` would be content with one part of it.
            query={"match_phrase": {"vcon_id": vcon_uuid}},
            ignore_unavailable=True,
            refresh=True,
        ),
        *(options.patience, SERVER),
    )
    return bool(answer["deleted"])


async def close() -> None:
    """Close the connections; they are made anew when they are wanted again."""
    await http_client.close("elasticsearch")


def _refusals(items: list[dict[str, Any]]) -> str:
    """How many parts were refused, and why the first was; never what is in it."""
    failed = [item["index"] for item in items if "error" in item["index"]]
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
