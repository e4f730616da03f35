"""Built-in plugins that are async, called by code that knows nothing of event loops."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from importlib import import_module
from typing import Any

import pytest

from devstack.pages.plugin_pages import plugins
from lib.plain_calls import plain_too
from lib.vcon_redis import VconRedis
from links import tag
from pipeline.plugins.contract import is_async
from pipeline.storages import storage_fallback
from tests.plugins.scene import TAGGED, canonical, connected

VCON = canonical(TAGGED)
UUID = VCON["uuid"]
TAG = {"tags": ["plain"]}
told: ContextVar[str] = ContextVar("told", default="")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[None]:
    """The connection that plugins find, with one vCon."""
    async with connected(redis_url) as store:
        await store.put(VCON)
        yield


def tagged() -> bool:
    """Whether the vCon has the tag."""
    document = VconRedis().get_vcon_dict(UUID)
    return document is not None and "plain" in str(document["attachments"])


def functions() -> list[tuple[str, Callable[..., Any]]]:
    """Every async function of a built-in plugin that a chain calls."""
    modules = [import_module(plugin.__name__) for plugin in plugins()]
    names = ("run", "save", "get", "delete")
    return [
        (f"{module.__name__}.{name}", function)
        for module in modules
        for name in names
        if is_async(function := getattr(module, name, None))
    ]


def test_every_async_function_may_be_called_as_a_plain_one() -> None:
    """A new plugin is no exception."""
    found = functions()
    assert len(found) > 20
    assert [name for name, each in found if not hasattr(each, "__wrapped__")] == []


@pytest.mark.usefixtures("redis")
async def test_a_sync_link_calls_another_in_its_thread() -> None:
    """It gets the result; the link has run on the loop of the service."""

    class Service:
        loop = asyncio.get_running_loop()

    def run(vcon_uuid: str, name: str, options: dict[str, Any]) -> Any:
        return tag.run(vcon_uuid, name, options)

    storage_fallback._installed[:] = [Service()]  # type: ignore[list-item]
    try:
        assert await asyncio.to_thread(run, UUID, "a_link", TAG) == UUID
    finally:
        storage_fallback._installed.clear()
    assert await asyncio.to_thread(tagged)


@pytest.mark.usefixtures("redis")
async def test_where_a_loop_runs_it_is_awaited() -> None:
    """As any async function, whether on the service's loop or on another one."""
    coroutine = tag.run(UUID, "a_link", TAG)
    assert inspect.iscoroutine(coroutine)
    assert await coroutine == UUID


async def test_the_callers_context_goes_with_it() -> None:
    """The run that a link belongs to, and what is left of its time, are known inside."""

    @plain_too
    async def say() -> str:
        """What the context has."""
        return told.get()

    class Service:
        loop = asyncio.get_running_loop()

    def call() -> Any:
        told.set("by the thread")
        return say()

    storage_fallback._installed[:] = [Service()]  # type: ignore[list-item]
    try:
        assert await asyncio.to_thread(call) == "by the thread"
    finally:
        storage_fallback._installed.clear()


def test_a_script_needs_no_service() -> None:
    """The function runs on a loop of its own; what it raises is raised."""

    @plain_too
    async def double(number: int) -> int:
        """Twice the number."""
        await asyncio.sleep(0)
        return 2 * number

    assert double(21) == 42
    with pytest.raises(TypeError):
        double(None)
