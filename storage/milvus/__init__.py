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

from lib.ai.openai_api import OpenAIApi, numbers
from lib.ai_usage import report_usage
from lib.metrics import increment_counter
from lib.plain_calls import plain_too
from lib.vcon_redis import AsyncVconRedis
from lib.web.answers import reading
from storage.milvus import collection
from storage.milvus.options import Options
from storage.milvus.texts import facts, text_of

__all__ = ["Options", "close", "delete", "effect", "only_through_lib", "save"]

only_through_lib = True
effect = "idempotent"

SERVER = "the embedding server"

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
    model, start = options.embedding_model, text[: options.max_embedding_chars]
    asked = {"input": start, "encoding_format": "float"}
    api = OpenAIApi.of(options.access)
    answer = await api.ask("embeddings", model, server=SERVER, retry=options.http_retry, json=asked)
    with reading(SERVER, "a vector", answer):
        vector = [float(each) for each in _listed(answer["data"][0]["embedding"])]
    tokens = (numbers(answer.get("usage"), "prompt_tokens") or (0,))[0]
    await report_usage(options, vcon_uuid, "MILVUS_EMBEDDING", model, "tokens", tokens)
    if len(vector) != options.embedding_dim:
        raise ValueError(
            f"embedding_dim is {options.embedding_dim}, but {model} returns vectors of "
            f"{len(vector)} numbers"
        )
    return vector


def _listed(value: object) -> list[Any]:
    """The value, which is a list and no text of digits."""
    if not isinstance(value, list) or not all(isinstance(each, int | float) for each in value):
        raise TypeError("no list of numbers")
    return value
