"""Writes of documents in a run: those of calls that were given up, and what a patch refers to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.errors import ConflictError
from lib.vcon_redis import VconRedis
from pipeline.config.parser import Chain
from pipeline.plugins.loader import Plugins
from pipeline.redis_client import keys
from pipeline.redis_client.document_paths import FROM
from pipeline.runs.run_state import PluginCall, RunState, current_call, current_run, fresh_run
from pipeline.runs.vcon_store import VconStore
from tests.integration.runs.lists_scene import Lists
from tests.integration.support.pipeline_fixtures import Scene, a_vcon, configured, link, new_uuid


class Writing:
    """A run whose plugin writes its vCon."""

    def __init__(self, lists: Lists, live: RunState) -> None:
        self.live, self.call, self.store = live, PluginCall(), VconStore(lists.redis)
        self.vcon_uuid = live.claim.vcon_uuid

    def begin(self, *, only_through_lib: bool) -> None:
        """The plugin is called."""
        self.live.memory.in_use = only_through_lib
        current_run.set(self.live)
        current_call.set(self.call)

    def give_up[T](self, value: T) -> T:
        """The time limit of the call is over."""
        self.call.abandoned = True
        return value


@pytest.fixture
async def writing(lists: Lists) -> Writing:
    """A claimed run."""
    lists.push("in")
    return Writing(lists, fresh_run(await lists.claim(), Chain("main"), Plugins(), "one", ""))


async def test_a_call_that_is_given_up_before_its_write(writing: Writing) -> None:
    """The document was being made; it is not kept for the next checkpoint."""
    writing.begin(only_through_lib=True)
    with pytest.raises(ConflictError, match="given up"):
        await writing.store.put(a_vcon(writing.vcon_uuid), 0, writing.give_up)
    assert not writing.live.memory.unwritten


async def test_a_thread_that_is_given_up_before_its_write(writing: Writing) -> None:
    """The same, in a thread."""

    class Late(dict[str, Any]):
        """A document that is read when the time is over."""

        def __getitem__(self, name: str) -> Any:
            return writing.give_up(super().__getitem__(name))

    writing.begin(only_through_lib=True)
    with pytest.raises(ConflictError, match="given up"):
        await asyncio.to_thread(writing.store.put_from_thread, Late(a_vcon(writing.vcon_uuid)))
    assert not writing.live.memory.unwritten


async def test_a_call_that_is_given_up_during_its_write(writing: Writing) -> None:
    """What a later plugin has written stays to be written."""
    writing.begin(only_through_lib=False)
    early = asyncio.create_task(writing.store.put(a_vcon(writing.vcon_uuid, subject="early")))
    await asyncio.sleep(0)
    writing.give_up(None)
    writing.live.memory.in_use = True
    writing.live.memory.write(writing.vcon_uuid, b"later")
    await early
    assert writing.live.memory.unwritten == b"later"


@pytest.mark.parametrize("only_through_lib", [False, True])
async def test_a_write_after_a_plugin_that_changes_redis_itself(
    scene: Scene, only_through_lib: bool
) -> None:
    """A link that writes a document without having read it replaces all of it."""
    document = a_vcon(new_uuid(), subject="own", dialog=[{"type": "text", "body": "a" * FROM}])
    name = keys.vcon(document["uuid"])

    def changes(vcon_uuid: str, _name: str, _options: Any) -> str:
        VconRedis().get_vcon_dict(vcon_uuid)
        scene.client.json().set(name, "$.subject", "another")
        return vcon_uuid

    def writes(vcon_uuid: str, _name: str, _options: Any) -> str:
        VconRedis().store_vcon_dict({**document, "attachments": [{"purpose": "tags"}]})
        return vcon_uuid

    second = link(writes, only_through_lib=only_through_lib)
    await scene.start(configured(links=[link(changes), second]))
    await scene.store.put(document)
    await scene.redis.command("RPUSH", "in", document["uuid"])
    assert (await scene.finished()).status == "done"
    stored: Any = scene.client.json().get(name)
    assert stored["attachments"] == [{"purpose": "tags"}]
    assert stored["subject"] == "own"
