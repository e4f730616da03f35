"""Makes vCons findable by their meaning, in a collection of Milvus.

What a vCon says (transcripts, summaries, parties, texts) is turned into a vector by OpenAI, Azure
or a LiteLLM proxy, and kept with that text and some facts. A vCon that says nothing is left out.
One that is there is left alone, or replaced where `skip_if_exists` is off. The collection has
vcon-server's fields, and is made where `create_collection_if_missing` says so. Each process keeps
one client for each server.

Reads the vCon, writes nothing on it. Raises `LookupError` for a vCon that is not in Redis and for a
collection that is missing, `VendorError` when there is no vector in the end, `ValueError` for one
of another length than `embedding_dim`, and `pymilvus.MilvusException` when Milvus does. No vCon can
be read back: Milvus does not have it.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from lib.ai_usage import report_usage
from lib.metrics import increment_counter
from lib.openai_client import get_async_openai_client
from lib.plain_calls import plain_too
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_retry import ask
from storage.milvus import collection
from storage.milvus.options import Options
from storage.milvus.texts import facts, text_of

__all__ = ["Options", "close", "delete", "only_through_lib", "save"]

only_through_lib = True

type Given = Mapping[str, Any] | Options | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Write the vector of the vCon as it is now in Redis."""
    options = Options.of(opts)
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    text = text_of(document)
    there = await asyncio.to_thread(collection.has, options, vcon_uuid)
    if there and options.skip_if_exists:
        return
    if not text:
        if there:  # it said something when it was saved before
            await asyncio.to_thread(collection.remove, options, vcon_uuid)
        return
    row = {
        **facts(document, text),
        "embedding": await _vector(vcon_uuid, text, options),
        "embedding_model": options.embedding_model,
        "embedding_version": "1.0",
    }
    if there:
        await asyncio.to_thread(collection.remove, options, vcon_uuid)
    await asyncio.to_thread(collection.insert, options, row)
    increment_counter("conserver.storage.milvus.vcons_stored")


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Remove the vCon's vector; False when there was none."""
    options = Options.of(opts)
    there = await asyncio.to_thread(collection.has, options, vcon_uuid)
    if there:
        await asyncio.to_thread(collection.remove, options, vcon_uuid)
    return there


async def close() -> None:
    """Close the connections to Milvus; they are made anew when they are wanted again."""
    await asyncio.to_thread(collection.close)


async def _vector(vcon_uuid: str, text: str, options: Options) -> list[float]:
    client = get_async_openai_client(options.access, timeout=options.timeout)
    told = text[: options.max_embedding_chars]
    answer = await ask(
        lambda: client.embeddings.create(input=told, model=options.embedding_model),
        *(options.patience, "the embedding server"),
    )
    tokens = answer.usage.prompt_tokens if answer.usage else 0
    what = (vcon_uuid, "MILVUS_EMBEDDING", options.embedding_model, "tokens")
    await report_usage(options, *what, tokens)
    vector = list(answer.data[0].embedding)
    if len(vector) != options.embedding_dim:
        raise ValueError(
            f"{options.embedding_model} gives {len(vector)} numbers, and embedding_dim says "
            f"{options.embedding_dim}"
        )
    return vector
