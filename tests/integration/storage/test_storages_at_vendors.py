"""What all storages at vendors refuse before a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.runs.vcon_store import VconStore
from tests.integration.support.http_stand_in import stand_in
from tests.integration.support.vendors.dataverse import dataverse
from tests.integration.support.vendors.openai_files import openai_files
from tests.integration.support.vendors.spaceandtime import SpaceAndTime
from tests.integration.support.vendors.utopia import Utopia
from tests.integration.support.vendors.vcon_mcp import vcon_mcp
from tests.plugins.scene import TAGGED, Later, canonical

VCON = canonical(TAGGED)
UUID = VCON["uuid"]
OTHER = "00000000-0000-8000-8000-000000000000"
SERVERS: dict[str, Callable[[], Any]] = {
    "chatgpt_files": openai_files,
    "dataverse": dataverse,
    "spaceandtime": lambda: stand_in(SpaceAndTime()),
    "utopia": lambda: stand_in(Utopia()),
    "vcon_mcp": vcon_mcp,
}
LARGEST = {
    "chatgpt_files": "OpenAI accepts 100",
    "utopia": "more than 100",
    "vcon_mcp": "vCon-MCP accepts 100",
}
"""The storages with a constant for the largest vCon, and what they say of a larger one."""
NO_UUIDS = ("../x", "' or 1 eq 1 or vcon_uuid eq '", "' OR 1=1 --", "", f"{UUID}/..", f"{UUID}\n")


@pytest.fixture(autouse=True)
async def _kept(store: VconStore) -> None:
    """The store has one vCon."""
    await store.put(VCON)


@pytest.fixture
def server(name: str) -> Iterator[Any]:
    """The vendor of the storage `name`."""
    with SERVERS[name]() as server:
        yield server
    if isinstance(server, SpaceAndTime):
        server.close()


@pytest.mark.parametrize("name", SERVERS)
async def test_a_vcon_that_is_not_there(name: str, server: Any) -> None:
    """An error that says so; a text that is no uuid makes no path, filter or statement."""
    storage = Later(f"storage.{name}")
    with pytest.raises(LookupError, match=OTHER):
        await storage.save(OTHER, server.options)
    calls = ("save", "delete") if name == "utopia" else ("save", "get", "delete")
    for call in calls:
        for text in NO_UUIDS:
            with pytest.raises(ValueError, match="uuid"):
                await getattr(storage, call)(text, server.options)
    assert server.got == []


@pytest.mark.parametrize(("name", "told"), LARGEST.items())
async def test_a_vcon_that_is_too_large(
    name: str, told: str, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not sent."""
    monkeypatch.setattr(f"storage.{name}.MOST_BYTES", 100)
    with pytest.raises(ValueError, match=rf"has \d+ bytes, {told}"):
        await Later(f"storage.{name}").save(UUID, server.options)
    assert server.got == []
