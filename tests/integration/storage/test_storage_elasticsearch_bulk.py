"""Bulk requests of the Elasticsearch storage: vCons that are saved at the same time share one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.integration.support.elasticsearch_stand_in import ElasticStandIn
from tests.integration.support.http_stand_in import Refused, stand_in
from tests.integration.support.vendors_scene import QUICK, transcribed
from tests.plugins.scene import Later, connected

elasticsearch = Later("storage.elasticsearch")
VCON = transcribed()
CEILING_SECONDS = 60
LARGEST = 100_000
"""Bytes of a request that the server takes."""


class RefusingStandIn(ElasticStandIn):
    """Refuses too large requests, and operations by the id of their documents."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: dict[str, list[int]] = {}
        self.bulks: list[list[str]] = []

    def _bulk(self, body: bytes) -> dict[str, Any]:
        if len(body) > LARGEST:
            raise Refused(413)
        lines = [json.loads(line) for line in body.splitlines()]
        ids = [each["index"]["_id"] for each in lines[::2]]
        self.bulks.append(ids)
        answer = super()._bulk(body)
        for item, name in zip(answer["items"], ids, strict=True):
            if statuses := self.refusals.get(name):
                error = {"type": "es_rejected_execution_exception", "reason": "secret"}
                item["index"] |= {"status": statuses.pop(0), "error": error}
                answer["errors"] = True
        return answer


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store behind the connection that plugins find."""
    async with connected(redis_url) as store, asyncio.timeout(CEILING_SECONDS):
        yield store
        await elasticsearch.close()


@pytest.fixture
def server() -> Iterator[RefusingStandIn]:
    """The server of one test."""
    with stand_in(RefusingStandIn()) as server:
        yield server


def options(server: RefusingStandIn) -> dict[str, Any]:
    """Options of the storage."""
    return {"url": server.base, **QUICK}


async def put(store: VconStore, count: int, **changes: Any) -> list[str]:
    """So many vCons."""
    uuids = [f"00000000-0000-8000-8000-{number:012}" for number in range(count)]
    for uuid in uuids:
        await store.put(VCON | {"uuid": uuid} | changes)
    return uuids


async def test_several_vcons_share_a_request(store: VconStore, server: RefusingStandIn) -> None:
    """With the same documents as one by one."""
    uuids = await put(store, 30)
    await elasticsearch.save(uuids[0], options(server))
    await asyncio.gather(*(elasticsearch.save(uuid, options(server)) for uuid in uuids))
    together = dict(server.documents)
    assert len(server.bulks) < 30
    server.documents.clear()
    await elasticsearch.close()
    for uuid in uuids:
        await elasticsearch.save(uuid, options(server))
    assert server.documents == together


async def test_a_refused_vcon_fails_alone(store: VconStore, server: RefusingStandIn) -> None:
    """Without being sent again; its error has nothing of its content."""
    uuids = await put(store, 4)
    server.refusals[f"{uuids[2]}_0"] = [400] * 9
    results = await asyncio.gather(
        *(elasticsearch.save(uuid, options(server)) for uuid in uuids), return_exceptions=True
    )
    assert [isinstance(each, VendorError) for each in results] == [False, False, True, False]
    assert "refused" in str(results[2])
    assert "secret" not in str(results[2])
    assert sum(f"{uuids[2]}_1" in ids for ids in server.bulks) == 1


async def test_what_may_succeed_later_is_sent_again_alone(
    store: VconStore, server: RefusingStandIn
) -> None:
    """Up to the retries of the options; the operations that have succeeded are not repeated."""
    uuids = await put(store, 3)
    server.refusals[f"{uuids[1]}_1"] = [429, 503]
    await asyncio.gather(*(elasticsearch.save(uuid, options(server)) for uuid in uuids))
    assert server.bulks[-2:] == [[f"{uuids[1]}_1"]] * 2
    server.refusals[f"{uuids[1]}_1"] = [429] * 2
    with pytest.raises(VendorError, match="refused 1 of 1 parts"):
        await elasticsearch.save(uuids[1], options(server) | {"retries": 1})


async def test_a_request_that_is_too_large_is_divided(
    store: VconStore, server: RefusingStandIn
) -> None:
    """By a proxy's limit, say: only a vCon that is too large by itself fails."""
    uuids = await put(store, 6, subject="small")
    await elasticsearch.save(uuids[0], options(server))
    analysis = {**VCON["analysis"][0], "encoding": "none"}
    for number, length in ((1, LARGEST // 2), (2, LARGEST // 2), (3, 2 * LARGEST)):
        change = {"uuid": uuids[number], "analysis": [analysis | {"body": "x" * length}]}
        await store.put(VCON | change)
    results = await asyncio.gather(
        *(elasticsearch.save(uuid, options(server)) for uuid in uuids), return_exceptions=True
    )
    assert [isinstance(each, VendorError) for each in results] == [False] * 3 + [True] + [False] * 2
    assert all(("vcon_dialog", f"{uuids[n]}_0") in server.documents for n in (1, 2, 4, 5))
