"""Built-in plugins whose vendor answers 2xx with other JSON than it documents.

Each plugin runs once, which shows the answers that it reads. Then each value in each of them is
replaced by some odd values, which are taken in turn.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from devstack.conformance import documents
from lib.effects import OutcomeUnknownError
from lib.web.answers import kind_of
from lib.web.http_client import close
from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.integration.support.built_in_cases import CASES, Counterparts
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.malformed import ODD, Place, places

NO_JSON = {
    *("links.connection_task", "links.delay", "links.expire_vcon", "links.flow", "links.jq_link"),
    *("links.sampler", "links.tag", "links.tag_router", "links.whisper_builtin"),
    *("links.webhook", "storage.webhook"),  # the content of a receiver's answer is not read
    *("storage.connection", "storage.file", "storage.mongo", "storage.postgres"),
    *("storage.redis_storage", "storage.s3", "storage.sftp"),
}
"""Plugins that read no JSON of a vendor."""
CALLS = ("save", "get", "delete")
NOT_FITTING = "embedding_dim is"
"""The documented ValueError of a vector of another length."""
MOST_PLACES = 20
WHOLE, INSIDE = 6, 2
"""Odd values instead of a whole answer, and of a value in it."""


@dataclass
class Scene:
    """A plugin with its vendor, and what is replaced in the vendor's answers."""

    module: str
    content: dict[str, Any]
    store: VconStore
    answers: list[bytes] = field(default_factory=list)
    change: tuple[Place, str] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Those of the case, without repetitions."""
        once = {"retries": 0, "transient_retries": 0}
        given = {**self.content["options"], **once}
        inner = given.get("vendor_options")
        return {**given, "vendor_options": {**inner, **once}} if inner else given

    def altered(self, reply: bytes) -> bytes:
        """The reply as it is sent."""
        self.answers.append(reply)
        place, odd = self.change or (None, "")
        if place is None or len(self.answers) - 1 != place.answer:
            return reply
        return place.changed(reply, odd)

    async def errors(self) -> list[Exception]:
        """The errors of all calls on a new vCon."""
        plugin = import_module(self.module)
        document = documents.fresh(self.content.get("vcon") or documents.rich())
        await self.store.put(document)
        self.answers.clear()
        await close()  # no token is kept
        found = []
        for call in calls(plugin, document["uuid"], self.options):
            try:
                await call
            except Exception as error:
                found.append(error)
        return found


def calls(plugin: Any, uuid: str, options: dict[str, Any]) -> Iterator[Awaitable[Any]]:
    """The calls of a link, a storage or a tracer, one after the other."""
    if hasattr(plugin, "save"):
        yield from (getattr(plugin, each)(uuid, options) for each in CALLS if hasattr(plugin, each))
    elif plugin.__name__.startswith("tracers."):
        plugin._domains.clear()
        plugin._known.clear()
        yield plugin.run(uuid, uuid, "a_tracer", ["a_link"], -1, options)
    else:
        yield plugin.run(uuid, "a_link", options)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Counterparts]:
    """The vendors' stand-ins."""
    found = Counterparts(tmp_path, lambda: pytest.fail("no vendor is a database"))
    yield found
    found.close()


@pytest.fixture
async def scene_of(
    store: VconStore, parts: Counterparts, vendors: StandIn, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[str], Awaitable[Scene]]]:
    """A scene for a module, closed after it; `vendors` allows URLs of this machine."""
    made: list[str] = []

    async def make(module: str) -> Scene:
        content = await asyncio.to_thread(CASES[module], parts)
        environment: Mapping[str, str] = content.get("environment", {})
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        made.append(module)
        scene = Scene(module, content, store)
        monkeypatch.setattr(StandIn, "altered", lambda _, reply: scene.altered(reply))
        return scene

    yield make
    for plugin in map(import_module, made):
        if hasattr(plugin, "close"):
            await plugin.close()


def changes(answers: list[bytes]) -> Iterator[tuple[Place, str]]:
    """What is replaced by what."""
    names, turn = [*ODD], count()
    found = [*places(answers)]
    for place in found[:: -(-len(found) // MOST_PLACES)]:
        share = INSIDE if place.path else WHOLE
        yield from ((place, names[next(turn) % len(names)]) for _ in range(share))


@pytest.mark.parametrize("module", sorted(CASES.keys() - NO_JSON))
async def test_an_odd_answer_is_an_error_of_the_vendor(
    module: str, scene_of: Callable[[str], Awaitable[Scene]]
) -> None:
    """It names the server; no `KeyError` or `TypeError` of the plugin comes instead."""
    scene = await scene_of(module)
    assert await scene.errors() == []
    tried = refused = 0
    for change in changes(scene.answers.copy()):
        scene.change = change
        for error in await scene.errors():
            is_told = isinstance(error, VendorError | OutcomeUnknownError)
            assert is_told or str(error).startswith(NOT_FITTING), (change, error)
            refused += 1
        tried += 1
    assert tried >= WHOLE
    assert refused


def test_it_is_said_what_came() -> None:
    """The kind, and names that are those of an API; no content."""
    told = {
        "null": None,
        "a number": 7,
        "a boolean": True,
        "a text": "Ann Example",
        "a list of 2": [1, 2],
        "an empty object": {},
        "an object with error, code": {"error": "Ann", "+49 30 1234": 1, "code": 2},
        "an object": {"Ann Example": 1},
    }
    assert {kind_of(value): value for value in told.values()} == told
    assert not re.search("Ann|49", "".join(map(kind_of, told.values())))
