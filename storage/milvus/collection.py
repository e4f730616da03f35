"""Access to the collection through Milvus's synchronous client; call these functions in threads."""

import os
import threading
from typing import Any

from pymilvus import DataType, MilvusClient

from lib.vcon.fields import required_uuid
from storage.milvus.options import Options
from storage.milvus.texts import MAX_BYTES

_lock = threading.Lock()
_clients: dict[tuple[int, str, str], MilvusClient] = {}
_ready: set[tuple[int, str, str, str]] = set()


def has(options: Options, vcon_uuid: str) -> bool:
    """Whether the collection has an entry for the vCon.

    Raises:
        LookupError: if the collection does not exist and must not be created.
    """
    client = _client(options)
    found = client.query(
        options.collection_name,
        filter=_where(vcon_uuid),
        output_fields=["vcon_uuid"],
        consistency_level="Strong",  # or a row of the last seconds may not be seen
        timeout=options.timeout,
    )
    return bool(found)


def insert(options: Options, row: dict[str, Any]) -> None:
    """Add a row."""
    _client(options).insert(options.collection_name, [row], timeout=options.timeout)


def remove(options: Options, vcon_uuid: str) -> None:
    """Remove the rows of a vCon."""
    _client(options).delete(
        options.collection_name, filter=_where(vcon_uuid), timeout=options.timeout
    )


def close() -> None:
    """Close the clients of this process."""
    with _lock:
        for client in _clients.values():
            client.close()
        _clients.clear()
        _ready.clear()


def _where(vcon_uuid: str) -> str:
    # Milvus has no query parameters.
    return f'vcon_uuid == "{required_uuid(vcon_uuid)}"'


def _client(options: Options) -> MilvusClient:
    """The process's client for a server; at first use, the collection is loaded or created."""
    key = (os.getpid(), options.server, options.token.get_secret_value())
    with _lock:
        if key not in _clients:
            _clients[key] = MilvusClient(
                options.server, token=options.token.get_secret_value(), timeout=options.timeout
            )
        client = _clients[key]
        if (*key, options.collection_name) not in _ready:
            _make_ready(client, options)
            _ready.add((*key, options.collection_name))
    return client


def _make_ready(client: MilvusClient, options: Options) -> None:
    name = options.collection_name
    if client.has_collection(name, timeout=options.timeout):
        client.load_collection(name, timeout=options.timeout)
    elif options.create_collection_if_missing:
        _make(client, options)
    else:
        raise LookupError(
            f"Milvus has no collection {name!r}; create it, or set create_collection_if_missing"
        )


def _make(client: MilvusClient, options: Options) -> None:
    schema = client.create_schema(auto_id=True, description="vCons for search by meaning")
    schema.add_field("id", DataType.INT64, is_primary=True)
    for name, longest in MAX_BYTES.items():
        schema.add_field(name, DataType.VARCHAR, max_length=longest)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=options.embedding_dim)
    for name in ("has_transcript", "has_summary"):
        schema.add_field(name, DataType.BOOL)
    schema.add_field("party_count", DataType.INT16)
    index = client.prepare_index_params()
    index.add_index(
        "embedding",
        index_type=options.index_type,
        metric_type=options.metric_type,
        params=options.index_params(),
    )
    client.create_collection(
        options.collection_name, schema=schema, index_params=index, timeout=options.timeout
    )
