"""Links as vcon-server's documents give them, unchanged: tests/plugins holds them to the letter."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest

from lib.vcon_library import prepare
from lib.vcon_server import aliases
from links import tag
from pipeline.config.parser import parse
from pipeline.plugins.loader import LoadedLink, load
from pipeline.runs.vcon_store import VconStore
from tests.plugins.scene import PLUGINS, SAMPLES, TAGGED, canonical, connected, tags

FOLDERS = ("simple-link", "my-vcon-link", "hosted-link")
MODULES = ("simple_link", "my_vcon_link", "hosted_link")
MISSING = "00000000-0000-8000-8000-000000000000"


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The links can be imported as if they had been installed."""
    prepare()
    aliases.install()
    for folder in FOLDERS:
        monkeypatch.syspath_prepend(PLUGINS / folder)
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """An empty store behind the connection that plugins find."""
    async with connected(redis_url) as store:
        yield store


def loaded(module: str, redis_url: str) -> LoadedLink:
    """The link as a chain has it, told where Redis is."""
    place = urlsplit(redis_url)
    options = {"redis_host": place.hostname, "redis_port": place.port, "option2": 200}
    config = parse(
        {
            "links": {"the_link": {"module": module, "options": options}},
            "chains": {"main": {"links": ["the_link"]}},
        },
        {},
    )
    return load(config).link(config.chains["main"].links[0])


async def call(link: LoadedLink, vcon_uuid: str) -> object:
    """What the link returns, called as the worker calls it: in a thread."""
    return await asyncio.to_thread(link.run, vcon_uuid, link.name, link.fresh_options())


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("*.json")))
async def test_the_complete_minimal_link_tags_every_sample(
    store: VconStore, redis_url: str, name: str
) -> None:
    """It writes to Redis directly, and the service and other plugins can read the result."""
    before = canonical(name)
    await store.put(before)
    link = loaded("simple_link", redis_url)
    assert await call(link, before["uuid"]) == before["uuid"]
    after = await store.get(before["uuid"])
    assert tags(after) == [*tags(before), "processed:true"]
    assert [*after["dialog"], *after["parties"]] == [*before["dialog"], *before["parties"]]


async def test_the_tag_link_goes_on_where_the_complete_minimal_link_stopped(
    store: VconStore, redis_url: str
) -> None:
    """It reads the tags that are there, and puts them into vcon-server's form."""
    before = canonical(TAGGED)
    await store.put(before)
    await call(loaded("simple_link", redis_url), before["uuid"])
    await tag.run(before["uuid"], "tag", {"tags": {"processed": "true", "last": "one"}})
    after = await store.get(before["uuid"])
    assert tags(after) == [*tags(before), "processed:true", "last:one"]
    assert isinstance(after["attachments"][0]["body"], str)


@pytest.mark.parametrize("module", ["my_vcon_link", "hosted_link"])
async def test_the_other_links_leave_the_vcon_as_it_was(
    store: VconStore, redis_url: str, module: str
) -> None:
    """The long one and the one that uses the host's classes: they read, do nothing, and write."""
    before = canonical(TAGGED)
    await store.put(before)
    link = loaded(module, redis_url)
    assert await call(link, before["uuid"]) == before["uuid"]
    after = await store.get(before["uuid"])
    assert {**after, "created_at": None} == {**before, "created_at": None}


async def test_the_link_that_can_use_the_hosts_classes_does(
    store: VconStore, redis_url: str
) -> None:
    """It finds `lib`, and does not fall back."""
    loaded("hosted_link", redis_url)
    assert importlib.import_module("hosted_link").USE_VCON_SERVER_UTILS


@pytest.mark.parametrize("module", MODULES)
async def test_a_vcon_that_is_not_there_ends_the_run(
    store: VconStore, redis_url: str, module: str
) -> None:
    """They say so by returning None, and store nothing."""
    assert await call(loaded(module, redis_url), MISSING) is None
    assert await store.get(MISSING) is None
