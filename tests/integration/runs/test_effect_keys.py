"""Effect keys: the same for a repetition of a step, another one for another step or content."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lib import effects
from lib.vcon_redis import AsyncVconRedis, VconRedis
from pipeline.config.model import RetryBackoff
from pipeline.media.bodies import MARK, take_out
from pipeline.runs.effects.keys import version
from tests.integration.support.pipeline_fixtures import (
    Scene,
    a_vcon,
    configured,
    link,
    new_uuid,
    storage,
    tracer,
)
from tests.integration.worker.worker_scene import ok

pytestmark = pytest.mark.usefixtures("at_once")


def asking(kind: str, keys: dict[str, list[str]]) -> Any:
    """A plugin that asks for its key twice, before and after its own write, sync or async."""

    def sync(vcon_uuid: str, name: str = "shelf", _options: Any = None) -> str:
        first = effects.key()
        document = VconRedis().get_vcon_dict(vcon_uuid) or {}
        VconRedis().store_vcon_dict({**document, "subject": "written", "updated_at": new_uuid()})
        keys.setdefault(str(name), []).extend([first, effects.key()])
        return vcon_uuid

    async def asynchronous(vcon_uuid: str, name: str, _options: Any) -> str:
        first = effects.key()
        document = await AsyncVconRedis().get_vcon_dict(vcon_uuid) or {}
        await AsyncVconRedis().store_vcon_dict({**document, "subject": "written"})
        keys.setdefault(name, []).extend([first, effects.key()])
        return vcon_uuid

    return sync if kind == "sync" else asynchronous


@pytest.mark.parametrize("through_lib", [True, False])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_every_step_has_one_key(scene: Scene, kind: str, through_lib: bool):
    """32 digits; the same within one call, another in the next step."""
    keys: dict[str, list[str]] = {}
    links = [
        link(asking(kind, keys), name, only_through_lib=through_lib) for name in ("a", "b", "c")
    ]

    def save(vcon_uuid: str, _options: Any) -> None:
        keys["shelf"] = [effects.key(), effects.key()]

    await scene.start(configured(links=links, storages=[storage(save)]))
    await scene.feed()
    assert (await scene.ended()).status == "done"
    assert keys.keys() == {"a", "b", "c", "shelf"}
    assert all(one == two and len(one) == 32 and int(one, 16) for one, two in keys.values())
    assert len({one for one, _ in keys.values()}) == 4


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_repetition_has_the_same_key_until_the_content_changes(scene: Scene, kind: str):
    """After failures, in a later attempt; `updated_at` is no content."""
    seen: list[str] = []

    async def told(vcon_uuid: str) -> None:
        seen.append(effects.key())
        document = await AsyncVconRedis().get_vcon_dict(vcon_uuid) or {}
        changes = {"updated_at": new_uuid()} if len(seen) < 3 else {"subject": f"{len(seen)}"}
        await AsyncVconRedis().store_vcon_dict({**document, **changes})
        if len(seen) < 5:
            raise RuntimeError("again")

    async def asynchronous(vcon_uuid: str, _name: str, _options: Any) -> str:
        await told(vcon_uuid)
        return vcon_uuid

    def sync(vcon_uuid: str, _name: str, _options: Any) -> str:
        asyncio.run(told(vcon_uuid))
        return vcon_uuid

    asks = link(sync if kind == "sync" else asynchronous, "asks", retries=1)
    backoff = RetryBackoff(first=0, max=0)
    await scene.start(configured(links=[asks], max_attempts=3, retry_backoff=backoff))
    await scene.feed()
    assert [(await scene.ended()).status for _ in range(3)][-1] == "done"
    assert len(seen) == 5
    assert seen[0] == seen[1] == seen[2]
    assert len({seen[2], seen[3], seen[4]}) == 3


async def test_tracers_and_storages_side_by_side_have_their_own_keys(scene: Scene):
    """Each call of a tracer, and each of several storages."""
    seen: list[str] = []

    async def traces(*_arguments: Any) -> None:
        seen.append(effects.key())

    async def saves(_vcon_uuid: str, _options: Any) -> None:
        seen.append(effects.key())

    def saves_in_thread(_vcon_uuid: str, _options: Any) -> None:
        seen.append(effects.key())

    await scene.start(
        configured(
            links=[link(ok, "a"), link(ok, "b")],
            storages=[storage(saves, "one"), storage(saves_in_thread, "two")],
            tracers=[tracer(traces, "t"), tracer(traces, "u")],
        )
    )
    await scene.feed()
    await scene.ended()
    assert len(seen) == len(set(seen)) == 3 * 2 + 2


async def test_another_run_has_another_key_and_requests_have_parts(scene: Scene):
    """The same vCon through the same chain again is no repetition of a step."""
    seen: list[list[str]] = []

    async def asks(vcon_uuid: str, _name: str, _options: Any) -> str:
        seen.append([effects.key(), effects.key(0), effects.key(1), effects.key("1", 0)])
        seen[-1].append(effects.key(1))
        return vcon_uuid

    await scene.start(configured(links=[link(asks)]))
    await scene.feed()
    await scene.ended()
    [one] = seen
    assert one[2] == one[4]
    assert len(set(one)) == 4
    await scene.feed()
    await scene.ended()
    assert not set(seen[0]) & set(seen[1])


def test_outside_of_a_run_each_key_is_another():
    """A plugin that a test calls by itself gets random digits."""
    assert len({effects.key(), effects.key(), effects.key(0)}) == 3


@pytest.mark.parametrize("body", ["\u00e9" * 40_000, {"a": [1.0, "x"]}, ["y" * 50_000], "a text"])
def test_the_version_does_not_depend_on_the_form(body: Any):
    """A body beside the document, the order of members, and the time of the last write."""
    document = a_vcon(attachments=[{"purpose": "x", "body": body}], subject="\u00fc")
    out = take_out(document, "redis", 1).document
    turned = dict(reversed([*document.items(), ("updated_at", "now")]))
    assert version(out) == version(document) == version(turned)
    assert MARK in str(out)
    assert version(document | {"subject": "other"}) != version(document)
    changed = a_vcon(
        document["uuid"], attachments=[{"purpose": "x", "body": "z"}], subject="\u00fc"
    )
    assert version(changed) != version(document)


@pytest.mark.parametrize("found", [None, [], "text", {"dialog": 5, "analysis": [None, "x"]}])
def test_what_is_no_vcon_has_a_version(found: Any):
    """Other programs write to Redis, too."""
    assert version(found) == version(found)
