"""The door for vCons over RPC: who may, what is taken, what is refused, what Redis has then."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import pytest
from redis import Redis

from core.errors import (
    BusyError,
    InvalidError,
    TooLargeError,
    UnavailableError,
    UnknownNameError,
)
from pipeline.config.parser import Chain, PipelineConfig
from pipeline.ingest.intake import Intake
from pipeline.ingest.internal import InternalApi
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.pipeline_fixtures import Scene, a_vcon, new_uuid
from tests.integration.support.recording_queues import VCON_EXPIRY

NO_PARTNERS: Any = None  # no request of these tests has a key

type Door = Callable[..., InternalApi]

CONFIG = PipelineConfig(
    chains={
        "main": Chain("main", ingress_lists=("in", "also")),
        "off": Chain("off", ingress_lists=("off",), enabled=False),
    },
)


@pytest.fixture
def door(redis: RedisConnection) -> Door:
    """Makes an ingress; `max_depth` and `max_vcon_bytes` can be given."""

    def make(max_depth: int = 100, max_vcon_bytes: int = 10_000) -> InternalApi:
        return InternalApi(
            Configuration(CONFIG, Plugins()),
            max_vcon_bytes,
            Intake(redis, sorted_set="vcons", max_depth=max_depth),
            NO_PARTNERS,
        )

    return make


def lists(client: Redis, *names: str) -> list[list[str]]:
    """What is in some lists."""
    return [client.lrange(name, 0, -1) for name in names]


# --- what is taken


async def test_a_vcon_is_stored_indexed_and_queued(door: Door, client: Redis):
    """The document, the sorted set, the search sets and every list named have it."""
    vcon = a_vcon(parties=[{"tel": "+15550100", "mailto": "ann@example.com", "name": "Ann"}])
    taken = await door().take(vcon, ["in", "also", "in"])
    assert (taken.uuid, taken.outcome) == (vcon["uuid"], "new")
    assert client.json().get(keys.vcon(taken.uuid))["parties"] == vcon["parties"]
    assert client.ttl(keys.vcon(taken.uuid)) == -1
    assert lists(client, "in", "also") == [[taken.uuid], [taken.uuid]]
    assert client.zscore("vcons", taken.uuid) == 1795262400
    for name in ("tel:+15550100", "mailto:ann@example.com", "name:Ann"):
        assert client.smembers(name) == {taken.uuid}


async def test_without_lists_it_is_only_stored(door: Door, client: Redis):
    """Nothing is queued, and the document stays."""
    taken = await door().take(a_vcon(), [])
    assert client.exists(keys.vcon(taken.uuid))
    assert client.ttl(keys.vcon(taken.uuid)) == -1


async def test_it_is_taken_in_todays_form_under_its_canonical_uuid(door: Door, client: Redis):
    """Each spelling and version is stored in one form."""
    vcon_uuid = new_uuid()
    old = {
        "vcon": "0.0.1",
        "uuid": vcon_uuid.upper(),
        "created_at": "2026-11-21T12:00:00Z",
        "parties": [],
        "attachments": [{"type": "note", "body": "x", "encoding": "none"}],
    }
    taken = await door().take(old, ["in"])
    assert taken.uuid == vcon_uuid
    document = client.json().get(keys.vcon(vcon_uuid))
    assert (document["vcon"], document["attachments"][0]["purpose"]) == ("0.4.0", "note")
    assert lists(client, "in") == [[vcon_uuid]]


@pytest.mark.parametrize("missing", ["vcon", "created_at"])
async def test_what_it_does_not_tell_is_filled_in_with_a_warning(
    door: Door, client: Redis, missing: str
):
    """Version 0.4.0; the time of receipt, marked as such, by which it can be listed."""
    vcon = {name: value for name, value in a_vcon().items() if name != missing}
    taken = await door().take(vcon, ["in"])
    assert [warning.partition(":")[0] for warning in taken.warnings] == [missing]
    document = client.json().get(keys.vcon(taken.uuid))
    assert document["vcon"] == "0.4.0"
    received = {"created_at_source": "receipt"} if missing == "created_at" else {}
    assert document == a_vcon(taken.uuid) | {"created_at": document["created_at"]} | received
    assert client.zscore("vcons", taken.uuid) == pytest.approx(
        datetime.fromisoformat(document["created_at"]).timestamp()
    )
    assert (await door().take(a_vcon(), ["in"])).warnings == []


async def test_one_without_a_time_is_the_same_when_it_is_sent_again(door: Door, client: Redis):
    """The time of receipt is no content: a repeat is a duplicate, and the first time stays."""
    ingress, vcon = door(), a_vcon(created_at=None)
    await ingress.take(vcon, ["in"])
    first = client.json().get(keys.vcon(vcon["uuid"]))
    assert (await ingress.take(vcon, ["in"])).outcome == "duplicate"
    assert client.json().get(keys.vcon(vcon["uuid"])) == first
    assert (await ingress.take(vcon | {"subject": "x"}, ["in"])).outcome == "replaced"


async def test_it_is_taken_in_gzip(door: Door, client: Redis):
    """Unpacked, and limited by its unpacked size."""
    vcon = a_vcon(subject="x" * 5_000)
    packed = gzip.compress(orjson.dumps(vcon))
    assert (await door().take(packed, ["in"])).uuid == vcon["uuid"]
    assert client.json().get(keys.vcon(vcon["uuid"])) == vcon
    with pytest.raises(TooLargeError):
        await door(max_vcon_bytes=5_000).take(packed, ["in"])


# --- the same again, and other content


async def test_the_same_again_changes_nothing(door: Door, client: Redis):
    """A second delivery is a duplicate: queued once, also when it has been processed since."""
    ingress, vcon = door(), a_vcon()
    await ingress.take(vcon, ["in"])
    assert (await ingress.take(vcon, ["in"])).outcome == "duplicate"
    assert lists(client, "in") == [[vcon["uuid"]]]
    client.json().set(keys.vcon(vcon["uuid"]), "$.subject", "made by a link")
    client.delete("in")
    assert (await ingress.take(vcon, ["in"])).outcome == "duplicate"
    assert client.json().get(keys.vcon(vcon["uuid"]))["subject"] == "made by a link"
    assert lists(client, "in") == [[]]


async def test_the_same_for_another_list_is_queued_there(door: Door, client: Redis):
    """Lists that were not served yet are."""
    ingress, vcon = door(), a_vcon()
    await ingress.take(vcon, ["in"])
    await ingress.take(vcon, ["in", "also"])
    assert lists(client, "in", "also") == [[vcon["uuid"]]] * 2


async def test_many_deliveries_at_once_are_one(door: Door, client: Redis):
    """Of ten equal requests at the same time one counts."""
    ingress, vcon = door(), a_vcon()
    taken = await asyncio.gather(*(ingress.take(vcon, ["in"]) for _ in range(10)))
    assert sorted(each.outcome for each in taken) == ["duplicate"] * 9 + ["new"]
    assert len(lists(client, "in")[0]) == 1


async def test_other_content_replaces_what_was_there(door: Door, client: Redis):
    """The document is the new one, it is queued again, and found by its new parties only."""
    ingress, vcon = door(), a_vcon()
    await ingress.take(vcon, ["in"])
    other = a_vcon(vcon["uuid"], parties=[{"name": "Bob"}])
    assert (await ingress.take(other, ["in"])).outcome == "replaced"
    assert client.json().get(keys.vcon(vcon["uuid"]))["parties"] == [{"name": "Bob"}]
    assert lists(client, "in") == [[vcon["uuid"]] * 2]
    assert client.smembers("name:Bob") == {vcon["uuid"]}
    assert client.smembers("name:Ann") == set()


async def test_other_content_has_to_wait_while_the_vcon_is_processed(door: Door, scene: Scene):
    """A conflict, and nothing changes; the same content is welcome at any time."""
    ingress, vcon = door(), a_vcon()
    await ingress.take(vcon, ["in"])
    await claim(scene)
    with pytest.raises(BusyError, match=vcon["uuid"]):
        await ingress.take(a_vcon(vcon["uuid"], subject="other"), ["in"])
    assert "subject" not in (await scene.store.get(vcon["uuid"]) or {})
    assert (await ingress.take(vcon, ["also"])).outcome == "duplicate"


async def test_a_vcon_that_an_adapter_put_there_is_not_replaced_while_it_is_processed(
    door: Door, scene: Scene
):
    """A vCon that a link works on is not replaced, also if an adapter pushed it."""
    [vcon_uuid] = await scene.feed("in")
    await claim(scene)
    with pytest.raises(BusyError):
        await door().take(a_vcon(vcon_uuid, subject="other"), ["in"])


async def claim(scene: Scene) -> None:
    """A worker takes what waits."""
    scene.client.set(keys.worker("one"), 1)
    assert (await scene.queues.claim("one", 5, ["in"])).claims


# --- what is refused


async def test_a_list_that_no_chain_knows_is_refused_and_not_made(door: Door, client: Redis):
    """The answer names those that exist."""
    for name in ("nowhere", "DLQ:in", "vcon:x"):
        with pytest.raises(UnknownNameError, match=f"{name}; known: also, in, off"):
            await door().take(a_vcon(), ["in", name])
    assert client.keys("*") == []


async def test_everything_that_is_wrong_is_told(door: Door, client: Redis):
    """All problems at once, each with its place."""
    with pytest.raises(InvalidError) as refused:
        await door().take({"vcon": "0.4.0", "uuid": "x", "parties": "nobody"}, ["in"])
    told = refused.value.problems
    assert len(told) >= 2
    assert {problem.partition(":")[0].partition(" ")[0] for problem in told} >= {"uuid", "parties"}
    assert all(problem in str(refused.value) for problem in told)
    assert client.keys("*") == []


async def test_a_vcon_that_is_too_large_is_refused(door: Door, client: Redis):
    """Both sizes are in the answer."""
    with pytest.raises(TooLargeError, match=r"bytes; at most 500 are taken"):
        await door(max_vcon_bytes=500).take(a_vcon(subject="x" * 500), ["in"])
    assert client.keys("*") == []


async def test_a_full_list_takes_nothing_and_neither_do_the_others(door: Door, client: Redis):
    """One full list refuses the whole request: nothing is stored, nothing queued anywhere."""
    ingress = door(max_depth=2)
    client.rpush("also", "a", "b")
    with pytest.raises(UnavailableError, match="also is full"):
        await ingress.take(a_vcon(), ["in", "also"])
    assert set(client.keys("*")) == {"also"}
    await ingress.take(a_vcon(), ["in"])


async def test_what_is_queued_never_expires(door: Door, client: Redis):
    """A vCon that had begun to expire stays when it is queued again."""
    ingress, vcon = door(), a_vcon()
    await ingress.take(vcon, ["in"])
    client.expire(keys.vcon(vcon["uuid"]), VCON_EXPIRY)
    await ingress.take(vcon, ["also"])
    assert client.ttl(keys.vcon(vcon["uuid"])) == -1


async def test_redis_being_away_is_said(redis_url: str):
    """The caller is told to try again."""
    nowhere = RedisConnection("redis://127.0.0.1:1/0")
    ingress = InternalApi(
        Configuration(CONFIG, Plugins()),
        10_000,
        Intake(nowhere, sorted_set="vcons", max_depth=5),
        NO_PARTNERS,
    )
    with pytest.raises(UnavailableError):
        await ingress.take(a_vcon(), ["in"])
    await nowhere.close()


async def test_a_list_of_a_disabled_chain_takes_vcons_in(door: Door, client: Redis):
    """They wait until the chain is enabled; nothing reads the list until then."""
    taken = await door().take(vcon := a_vcon(), ["off", "in"])
    assert (taken.outcome, lists(client, "off", "in")) == ("new", [[vcon["uuid"]]] * 2)
    unread: Any = CONFIG.chain_reading("off")
    assert unread is None
