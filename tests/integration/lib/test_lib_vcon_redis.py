"""What plugins see of the vCons in Redis."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from redis import Redis

from core.errors import ConflictError, UnavailableError
from lib.vcon_library import vcon_class
from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.config.parser import Chain
from pipeline.plugins.loader import Plugins
from pipeline.redis_client import client as connection
from pipeline.runs.plan import Progress
from pipeline.runs.queues import Claim
from pipeline.runs.run_state import RunState, current_run
from pipeline.runs.vcon_store import VconStore
from tests.plugins.scene import SAMPLES, TAGGED, canonical, connected, sample, tags


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """An empty store behind the connection that plugins find."""
    async with connected(redis_url) as store:
        yield store


@pytest.fixture
def client(redis_url: str):
    """A separate client for the test."""
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def test_a_plugin_in_a_thread_may_have_an_event_loop_of_its_own(store: VconStore) -> None:
    """Concurrent commands of several threads each get their own reply."""
    document = canonical(TAGGED)
    await store.put(document)

    async def reads() -> None:
        for _ in range(50):
            assert await AsyncVconRedis().get_vcon_dict(document["uuid"]) == document

    plugins = [asyncio.to_thread(asyncio.run, reads()) for _ in range(4)]
    async with asyncio.timeout(60):
        await asyncio.gather(reads(), reads(), *plugins)


@contextmanager
def taken_over(vcon_uuid: str):
    """Everything inside belongs to a run that this worker no longer holds."""
    claim = Claim("in", vcon_uuid, vcon_uuid, "run-1")
    run = RunState(
        claim=claim,
        chain=Chain("main"),
        plugins=Plugins(),
        worker="gone",
        config_hash="",
        started_at=datetime.now(UTC),
        progress=Progress(vcon_uuid),
    )
    token = current_run.set(run)
    yield
    current_run.reset(token)


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("*.json")))
async def test_what_is_stored_is_read_back_in_todays_form(store: VconStore, name: str) -> None:
    """Every sample, old or new, by both classes."""
    document, expected = sample(name), canonical(name)
    VconRedis().store_vcon_dict(document)
    assert VconRedis().get_vcon_dict(expected["uuid"]) == expected
    assert await AsyncVconRedis().get_vcon_dict(expected["uuid"]) == expected
    assert await store.get(expected["uuid"]) == expected
    await AsyncVconRedis().store_vcon_dict({**document, "extra": 1})
    assert await store.get(expected["uuid"]) == {**expected, "extra": 1}


async def test_storing_leaves_the_dict_it_is_given_alone(store: VconStore) -> None:
    """The caller's dict keeps its old form."""
    document = sample(TAGGED)
    VconRedis().store_vcon_dict(document)
    await AsyncVconRedis().store_vcon_dict(document)
    assert document == sample(TAGGED)


async def test_a_vcon_that_is_not_there_is_none(store: VconStore) -> None:
    """Neither an empty vCon nor an exception."""
    missing = "00000000-0000-8000-8000-000000000000"
    assert VconRedis().get_vcon(missing) is None
    assert VconRedis().get_vcon_dict(missing) is None
    assert await AsyncVconRedis().get_vcon_dict(missing) is None


async def test_a_required_vcon_is_returned_or_named_in_the_error(store: VconStore) -> None:
    """By both classes, so that each storage reports a missing vCon with the same words."""
    document, missing = canonical(TAGGED), "00000000-0000-8000-8000-000000000000"
    await store.put(document)
    assert VconRedis().required_vcon_dict(document["uuid"]) == document
    assert await AsyncVconRedis().required_vcon_dict(document["uuid"]) == document
    with pytest.raises(LookupError, match=f"there is no vCon {missing} in Redis"):
        VconRedis().required_vcon_dict(missing)
    with pytest.raises(LookupError, match=f"there is no vCon {missing} in Redis"):
        await AsyncVconRedis().required_vcon_dict(missing)


async def test_an_old_vcon_that_somebody_put_into_redis_is_read_in_todays_form(
    store: VconStore, client: Redis
) -> None:
    """The `vcon` library cannot add a tag to an attachment with a `type`."""
    document = sample(TAGGED)
    client.json().set(f"vcon:{document['uuid']}", ".", document)
    vcon = VconRedis().get_vcon(document["uuid"])
    vcon.add_tag("a", "b")
    assert vcon.get_tag("queue") == "repairs"
    assert vcon.get_tag("a") == "b"
    assert await AsyncVconRedis().get_vcon_dict(document["uuid"]) == canonical(TAGGED)


async def test_old_names_are_todays_whatever_the_version_says(
    store: VconStore, client: Redis
) -> None:
    """What another program has written to Redis directly; a body that is a value becomes text."""
    document = canonical(TAGGED) | {"attachments": [{"type": "tags", "body": ["iron:iron"]}]}
    client.json().set(f"vcon:{document['uuid']}", ".", document)
    read = await AsyncVconRedis().get_vcon_dict(document["uuid"])
    tags = {"purpose": "tags", "body": '["iron:iron"]', "encoding": "json"}
    assert read == document | {"attachments": [tags]}


async def test_a_vcon_object_is_fresh_and_changes_count_once_stored(store: VconStore) -> None:
    """Nothing is shared between two who have read the same vCon."""
    redis, uuid = VconRedis(), canonical(TAGGED)["uuid"]
    await store.put(canonical(TAGGED))
    vcon = redis.get_vcon(uuid)
    vcon.add_tag("a", "b")
    assert "a:b" not in tags(redis.get_vcon_dict(uuid))
    redis.store_vcon(vcon)
    assert tags(redis.get_vcon_dict(uuid)) == [*tags(canonical(TAGGED)), "a:b"]
    assert isinstance(redis.get_vcon_dict(uuid)["attachments"][0]["body"], str)


async def test_a_time_to_live_is_set_only_when_asked_for_and_survives_a_store(
    store: VconStore, client: Redis
) -> None:
    """Without `ttl` an expiry stays as it is, whether there is one or not."""
    redis, document = VconRedis(), canonical(TAGGED)
    uuid, key = document["uuid"], f"vcon:{document['uuid']}"
    redis.store_vcon_dict(document)
    assert redis.get_ttl(uuid) == client.ttl(key) == -1
    redis.store_vcon_dict(document, ttl=VconRedis.DEFAULT_TTL)
    assert 0 < client.ttl(key) <= VconRedis.DEFAULT_TTL
    redis.store_vcon_dict(document)
    await AsyncVconRedis().store_vcon_dict(document)
    assert 0 < redis.get_ttl(uuid) <= VconRedis.DEFAULT_TTL
    await AsyncVconRedis().store_vcon_dict(document, ttl=7200)
    assert redis.get_ttl(uuid) > VconRedis.DEFAULT_TTL


async def test_expiries_are_set_read_and_removed(store: VconStore) -> None:
    """Each says whether there was anything to do it to."""
    redis, document = VconRedis(), canonical(TAGGED)
    uuid = document["uuid"]
    assert redis.get_ttl(uuid) == -2
    assert not redis.set_expiry(uuid, 60)
    assert not redis.remove_expiry(uuid)
    redis.store_vcon_dict(document)
    assert not redis.remove_expiry(uuid)
    assert redis.set_expiry(uuid, 60)
    assert 0 < redis.get_ttl(uuid) <= 60
    assert redis.remove_expiry(uuid)
    assert redis.get_ttl(uuid) == -1


async def test_vcon_servers_asynchronous_methods_work_with_the_client_they_are_given(
    store: VconStore,
) -> None:
    """By their own names and with their own arguments, positional or named."""
    redis, document, ignored = VconRedis(), canonical(TAGGED), object()
    uuid = document["uuid"]
    await redis.store_vcon_dict_async(ignored, sample(TAGGED), ttl=60)
    assert await store.get(uuid) == document
    assert 0 < await redis.get_ttl_async(ignored, uuid) <= 60
    assert await redis.set_expiry_async(ignored, uuid, 600)
    assert await redis.get_ttl_async(ignored, uuid) > 60
    vcon = redis.get_vcon(uuid)
    vcon.add_tag("a", "b")
    await redis.store_vcon_async(ignored, vcon)
    assert "a:b" in tags(await store.get(uuid))


async def test_one_object_serves_many_threads_at_once(store: VconStore) -> None:
    """Each thread sees its own vCons, whole."""
    redis = VconRedis()

    def store_and_read(number: int) -> bool:
        uuid = f"00000000-0000-8000-8000-{number:012}"
        document = {**canonical(TAGGED), "uuid": uuid, "subject": str(number)}
        redis.store_vcon_dict(document)
        return redis.get_vcon(uuid).subject == str(number)

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(store_and_read, range(200)))


async def test_a_run_that_was_taken_over_writes_nothing(store: VconStore) -> None:
    """The worker that has taken over the run must not find its work overwritten."""
    before = canonical(TAGGED)
    await store.put(before)
    changed = {**before, "subject": "late"}
    with taken_over(before["uuid"]):
        with pytest.raises(ConflictError):
            VconRedis().store_vcon_dict(changed)
        with pytest.raises(ConflictError):
            await asyncio.to_thread(VconRedis().store_vcon_dict, changed)
        with pytest.raises(ConflictError):
            await VconRedis().store_vcon_dict_async(object(), changed)
        with pytest.raises(ConflictError):
            await AsyncVconRedis().store_vcon_dict(changed)
    assert await store.get(before["uuid"]) == before


def test_without_a_pipeline_there_is_no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constructing it is harmless, as modules do that when they are imported; using it says why."""
    monkeypatch.setattr(connection, "_installed", [])
    redis = VconRedis()
    with pytest.raises(UnavailableError, match="no Redis connection is installed"):
        redis.get_vcon_dict("x")


IMPORT_LATE = """
import sys
import lib.vcon_redis, links.tag, storage.file, storage.postgres
assert 'vcon' not in sys.modules
from lib.vcon_library import vcon_class
vcon_class()
assert 'vcon' in sys.modules
"""
IMPORT_BY_A_PLUGIN = """
import logging, sys
from lib.vcon_library import prepare
handler = logging.StreamHandler(sys.stdout)
logging.basicConfig(level='ERROR', handlers=[handler])
prepare()
assert 'vcon' not in sys.modules
import vcon
vcon.Vcon.build_new()
assert logging.root.handlers == [handler]
assert logging.root.level == logging.ERROR
"""


@pytest.mark.parametrize("program", [IMPORT_LATE, IMPORT_BY_A_PLUGIN])
def test_the_vcon_library_is_imported_late_and_leaves_log_and_warnings_alone(program: str) -> None:
    """It is slow, warns, and would reconfigure logging; the output shows none of that."""
    ran = subprocess.run(
        [sys.executable, "-W", "default", "-c", program],
        cwd=SAMPLES.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_vcon_class_is_the_librarys_own() -> None:
    """Plugins that import it themselves get the same."""
    klass = vcon_class()
    from vcon import Vcon

    assert klass is Vcon


AT_ONCE = """
import logging.config
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from lib.vcon_library import vcon_class

configure, together = logging.config.fileConfig, Barrier(8)

def first(_):
    together.wait()
    return vcon_class()({"uuid": "x", "created_at": "2024-05-01T10:00:00Z"}).hash

with ThreadPoolExecutor(8) as threads:
    assert len(set(threads.map(first, range(8)))) == 1
assert logging.config.fileConfig is configure
"""


def test_many_threads_may_be_the_first_to_want_the_class() -> None:
    """As when a worker begins with several vCons: all wait until it is whole."""
    command = [sys.executable, "-c", AT_ONCE]
    done = subprocess.run(command, cwd=SAMPLES.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
