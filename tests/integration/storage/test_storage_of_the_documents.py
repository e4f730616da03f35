"""The basic storage as vcon-server's documents give it, unchanged."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import storage
from lib.vcon_server import aliases
from pipeline.config.parser import parse
from pipeline.plugins.loader import LoadedStorage, load
from pipeline.runs.vcon_store import VconStore
from tests.plugins.scene import PLUGINS, SAMPLES, TAGGED, canonical, connected

MISSING = "00000000-0000-8000-8000-000000000000"


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder with the storage is on the path, beside the built-in ones."""
    aliases.install()
    monkeypatch.syspath_prepend(PLUGINS / "storages")
    monkeypatch.setattr(storage, "__path__", list(storage.__path__))
    importlib.reload(storage)
    yield
    for name in ("storage.my_storage", "server.storage.my_storage"):
        sys.modules.pop(name, None)


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """An empty store behind the connection that plugins find."""
    async with connected(redis_url) as store:
        yield store


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedStorage:
    """The storage as a chain has it, with the options of the document's own example."""
    options = {"path": str(tmp_path / "vcons"), "file_extension": ".vcon.json"}
    config = parse(
        {
            "storages": {"my_storage": {"module": "storage.my_storage", "options": options}},
            "chains": {"my_chain": {"links": [], "storages": ["my_storage"]}},
        },
        {},
    )
    return load(config).storage(config.chains["my_chain"], "my_storage")


async def call(function: object, *arguments: object) -> object:
    """What the storage returns, called as the worker calls it: in a thread."""
    assert callable(function)
    return await asyncio.to_thread(function, *arguments)


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("*.json")))
async def test_every_sample_comes_back(
    store: VconStore, loaded: LoadedStorage, tmp_path: Path, name: str
) -> None:
    """As the `vcon` library writes it: the moment it was made in its own form, all else equal."""
    before = canonical(name)
    await store.put(before)
    await call(loaded.save, before["uuid"], loaded.fresh_options())
    after = await call(loaded.get, before["uuid"], loaded.fresh_options())
    assert {**after, "created_at": None} == {**before, "created_at": None}
    assert json.loads((tmp_path / "vcons" / f"{before['uuid']}.vcon.json").read_text()) == after


async def test_delete_and_get_say_whether_there_was_anything(
    store: VconStore, loaded: LoadedStorage
) -> None:
    """True once, then False; a vCon, then None."""
    document, opts = canonical(TAGGED), loaded.fresh_options()
    await store.put(document)
    await call(loaded.save, document["uuid"], opts)
    assert await call(loaded.delete, document["uuid"], opts) is True
    assert await call(loaded.delete, document["uuid"], opts) is False
    assert await call(loaded.get, document["uuid"], opts) is None


async def test_a_vcon_that_is_not_in_redis_is_an_error(loaded: LoadedStorage) -> None:
    """The storage's own, which a chain takes for a failed save."""
    with pytest.raises(ValueError, match=MISSING):
        await call(loaded.save, MISSING, loaded.fresh_options())


def test_it_is_the_same_module_under_the_documents_other_name(loaded: LoadedStorage) -> None:
    """Its tests patch `server.storage.my_storage`, and mean the module that the chain uses."""
    module = importlib.import_module("server.storage.my_storage")
    assert loaded.save is module.save
    assert module is importlib.import_module("storage.my_storage")
