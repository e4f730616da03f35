"""Stores embeddings of vCons in a Milvus collection for semantic search.

The text of a vCon (transcripts, summaries, parties, text dialogs) is embedded by OpenAI, Azure or a
LiteLLM proxy, and stored with the vector and some fields. A vCon without text is not stored. An
existing entry is kept, or replaced if `skip_if_exists` is off. The collection has vcon-server's
fields, and is created if `create_collection_if_missing` is on. Each process has one client per
server.

Reads the vCon, writes nothing to it. Raises `LookupError` for a vCon that is not in Redis and for a
missing collection, `VendorError` if the last attempt at an embedding failed, `ValueError` for a
vector of another length than `embedding_dim`, and `pymilvus.MilvusException` for errors of Milvus.
vCons cannot be read back.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from lib.ai_usage import report_usage
from lib.metrics import increment_counter
from lib.openai_client import get_async_openai_client
from lib.plain_calls import plain_too
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_retry import call_vendor
from storage.milvus import collection
from storage.milvus.options import Options
from storage.milvus.texts import facts, text_of

__all__ = ["Options", "close", "delete", "effect", "only_through_lib", "save"]

only_through_lib = True
effect = "idempotent"

type Given = Mapping[str, Any] | Options | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Store the embedding of the vCon's current content in Redis."""
    options = Options.of(opts)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    text = text_of(document)
    exists = await asyncio.to_thread(collection.has, options, vcon_uuid)
    if exists and options.skip_if_exists:
        return
    if not text:
        if exists:  # the vCon had a text when it was saved before
            await asyncio.to_thread(collection.remove, options, vcon_uuid)
        return
    row = {
        **facts(document, text),
        "embedding": await _vector(vcon_uuid, text, options),
        "embedding_model": options.embedding_model,
        "embedding_version": "1.0",
    }
    if exists:
        await asyncio.to_thread(collection.remove, options, vcon_uuid)
    await asyncio.to_thread(collection.insert, options, row)
    increment_counter("conserver.storage.milvus.vcons_stored")


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the vCon's entry; False if there was none."""
    options = Options.of(opts)
    exists = await asyncio.to_thread(collection.has, options, vcon_uuid)
    if exists:
        await asyncio.to_thread(collection.remove, options, vcon_uuid)
    return exists


async def close() -> None:
    """Close the clients of this process; the next call makes new ones."""
    await asyncio.to_thread(collection.close)


async def _vector(vcon_uuid: str, text: str, options: Options) -> list[float]:
    client = get_async_openai_client(options.access, timeout=options.timeout)
    model, start = options.embedding_model, text[: options.max_embedding_chars]
    answer = await call_vendor(
        lambda: client.embeddings.create(input=start, model=model),
        options.http_retry,
        "the embedding server",
    )
    tokens = answer.usage.prompt_tokens if answer.usage else 0
    await report_usage(options, vcon_uuid, "MILVUS_EMBEDDING", model, "tokens", tokens)
    vector = list(answer.data[0].embedding)
    if len(vector) != options.embedding_dim:
        raise ValueError(
            f"embedding_dim is {options.embedding_dim}, but {model} returns vectors of "
            f"{len(vector)} numbers"
        )
    return vector
