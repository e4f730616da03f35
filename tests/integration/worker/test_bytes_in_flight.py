"""The bound on the bytes of the documents that a worker runs at once."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from lib.vcon_redis import AsyncVconRedis
from pipeline.ingest.entry import Entry
from pipeline.worker.slots.bytes_in_flight import BytesInFlight
from tests.integration.support.pipeline_fixtures import (
    Scene,
    a_vcon,
    both,
    configured,
    link,
    new_uuid,
)
from tests.integration.worker.worker_scene import Gate

MB = 1_000_000


def document(size: int) -> dict[str, Any]:
    """A vCon of about so many bytes."""
    body = {"type": "notes", "encoding": "none", "body": "x" * size}
    return a_vcon(new_uuid(), attachments=[body])


async def push(scene: Scene, size: int, name: str = "in") -> str:
    """Queue a vCon as another program does."""
    vcon = document(size)
    await scene.store.put(vcon)
    await scene.redis.command("RPUSH", name, vcon["uuid"])
    return str(vcon["uuid"])


def bound(scene: Scene, size: int, assumed: int = MB) -> BytesInFlight:
    """A bound for a worker."""
    return BytesInFlight(size, assumed, scene.redis)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [300_000, 1_300_000])
async def test_large_vcons_do_not_add_up(scene: Scene, size: int, known: bool) -> None:
    """Three within the bound, whether they came in here or from another program."""
    gate = Gate()
    for _ in range(8):
        if known:
            vcon = document(size)
            entry = Entry(vcon["uuid"], orjson.dumps(vcon), 1.0, "digest", [])
            await scene.intake.ingest(entry, ["in"])
        else:
            await push(scene, size)
    chain = configured(links=[link(gate.run, "gate")])
    room = bound(scene, 3 * size + size // 2, assumed=10 * MB)
    await scene.start(chain, concurrency="auto", room=room)
    for _ in range(3):
        await gate.arrival()
    gate.open.set()
    for _ in range(8):
        await scene.ended()
    assert gate.most == 3


async def test_a_vcon_larger_than_the_bound_runs_alone(scene: Scene) -> None:
    """It is not refused, and does not wait for ever behind smaller ones."""
    gate = Gate()
    small = [await push(scene, 10_000) for _ in range(2)]
    large = await push(scene, 2 * MB)
    small += [await push(scene, 10_000) for _ in range(2)]
    chain = configured(links=[link(gate.run, "gate")])
    await scene.start(chain, concurrency=8, room=bound(scene, MB, assumed=MB))
    arrived = {await gate.arrival() for _ in range(4)}
    assert (arrived, gate.inside) == (set(small), 4)
    gate.open.set()
    ended = [(await scene.ended()).claim.vcon_uuid for _ in range(5)]
    assert sorted(ended) == sorted([*small, large])
    assert gate.most == 4


async def test_documents_that_grow_count_with_their_size(scene: Scene) -> None:
    """A link that writes a large analysis leaves room for fewer."""
    gate, grown = Gate(), asyncio.Event()

    async def grows(vcon_uuid: str, *_: Any) -> str:
        vcon = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
        assert vcon is not None
        await AsyncVconRedis().store_vcon_dict(vcon | {"subject": "x" * 900_000})
        grown.set()
        return await gate.run(vcon_uuid, "", {})

    chain = configured(links=[link(grows, "gate", only_through_lib=True)])
    await scene.start(chain, concurrency=8, room=bound(scene, MB, assumed=300_000))
    await push(scene, 1000)
    await gate.arrival()
    await push(scene, 200_000)
    others = [await push(scene, 200_000) for _ in range(3)]
    assert grown.is_set()
    assert gate.inside == 1
    gate.open.set()
    for _ in range(2 + len(others)):
        await scene.ended()


async def test_waiting_runs_are_given_back_when_the_worker_stops(scene: Scene) -> None:
    """In the order of their list, and no attempt counts."""
    gate = Gate()
    fed = [await push(scene, 600_000) for _ in range(3)]
    chain = configured(links=[link(gate.run, "gate")])
    crew = await scene.start(chain, concurrency=8, room=bound(scene, MB, assumed=2 * MB))
    await gate.arrival()
    while scene.client.hlen("pc:inflight:one") < 3:  # noqa: ASYNC110 -- no event
        await asyncio.sleep(0)
    await crew.stop()
    scene.crews.remove(crew)
    assert scene.elements("in") == fed
    past = scene.client.hvals("pc:attempts:in")
    assert {each.partition("\n")[0] for each in past} == {"0"}


async def test_a_small_list_passes_one_whose_vcons_wait(scene: Scene) -> None:
    """Large vCons of one chain that wait for room do not stop the small ones of another."""
    gate, other = Gate(), Gate()
    other.open.set()
    for _ in range(3):
        await push(scene, 600_000)
    chain = configured(links=[link(gate.run, "gate")])
    small = configured(name="small", links=[link(other.run, "other")], ingress=("few",))
    await scene.start(both(chain, small), concurrency=8, room=bound(scene, MB, assumed=2 * MB))
    await gate.arrival()
    fed = [await push(scene, 1000, "few") for _ in range(20)]
    assert {(await scene.ended()).claim.vcon_uuid for _ in fed} == set(fed)
    assert gate.inside == 1
    gate.open.set()
    for _ in range(3):
        await scene.ended()
