"""The examples of the guides for plugin authors run as they are printed."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import ConfigurationError
from lib.vcon_library import prepare
from pipeline.config.parser import Chain, parse
from pipeline.plugins.loader import Loaded, Plugins, load
from pipeline.runs.vcon_store import VconStore
from tests.plugins.scene import TAGGED, canonical, connected

DOCS = Path(__file__).parents[3] / "docs"
VCON = canonical(TAGGED) | {
    "subject": "A bike to repair",
    "dialog": [
        {"type": "text", "body": "Can I bring the bike on Saturday?"},
        {"type": "recording", "url": "https://media.example.com/1.wav"},
        {"type": "text", "body": "Saturday at ten works."},
    ],
}
UUID = VCON["uuid"]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL
    )


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store with one vCon behind the connection that plugins find."""
    async with connected(redis_url) as store:
        await store.put(VCON)
        yield store


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what is imported from it is forgotten again."""
    prepare()
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    importlib.invalidate_caches()


async def call(plugin: Loaded, function: Any, *arguments: Any) -> Any:
    """What a function of a plugin returns, called as the worker calls it."""
    if plugin.is_async:
        return await function(*arguments)
    return await asyncio.to_thread(function, *arguments)


def configured(page: str, folder: Path, **changes: Any) -> tuple[Chain, Plugins]:
    """The page's modules where they can be found, loaded by the page's configuration."""
    for source in blocks(page, "python"):
        (folder / re.findall(r"\w+\.py", source)[0]).write_text(source)
    [text] = blocks(page, "yaml")
    document = yaml.safe_load(text)
    for path, value in changes.items():
        section, name, key = path.split("__")
        document[section][name][key] = value
    config = parse(document, {})
    return config.chains["main"], load(config)


@pytest.mark.parametrize("module", ["word_count", "word_count_async"])
async def test_the_example_links_count_words_once(
    store: VconStore, folder: Path, module: str
) -> None:
    """Both forms, in the way that the page configures them; a second run adds nothing."""
    chain, plugins = configured("writing-links.md", folder, links__words__module=module)
    link = plugins.link(chain.links[0])
    for _ in range(2):
        assert await call(link, link.run, UUID, link.name, link.fresh_options()) == UUID
        document = await store.get(UUID)
        assert document is not None
        counts = [
            (entry["type"], entry["dialog"], json.loads(entry["body"]))
            for entry in document["analysis"]
        ]
        assert counts == [("words", 0, {"words": 7}), ("words", 2, {"words": 4})]


async def test_the_example_with_checked_options(store: VconStore, folder: Path) -> None:
    """It gets them as an object, and a wrong one is told in the words of the page."""
    shorten = {"links__words__module": "shorten"}
    _, plugins = configured(
        "writing-links.md", folder, **shorten, links__words__options={"length": "4"}
    )
    [link] = plugins.links.values()
    assert await call(link, link.run, UUID, link.name, link.fresh_options()) == UUID
    document = await store.get(UUID)
    assert document is not None
    assert document["subject"] == VCON["subject"][:4]
    with pytest.raises(ConfigurationError) as error:
        configured("writing-links.md", folder, **shorten, links__words__options={"length": "none"})
    told = str(error.value).partition(" (")[0].replace("links.words", "links.shorten")
    assert f"`{told}`" in (DOCS / "writing-links.md").read_text()


async def test_the_example_storage_keeps_a_vcon(folder: Path) -> None:
    """Saved twice, read, deleted, and then no longer there."""
    options = {"path": str(folder / "vcons.sqlite")}
    chain, plugins = configured("writing-storages.md", folder, storages__notebook__options=options)
    storage = plugins.storage(chain, "notebook")
    opts = storage.fresh_options()
    assert storage.timeout == 10
    for function, answer in [
        (storage.get, None),
        (storage.save, None),
        (storage.save, None),
        (storage.get, VCON),
        (storage.delete, True),
        (storage.delete, False),
        (storage.get, None),
    ]:
        assert await call(storage, function, UUID, opts) == answer


async def test_the_example_tracer_writes_its_lines(folder: Path) -> None:
    """One before the first link and one after it, in the way that the page configures it."""
    trail = folder / "trail.jsonl"
    chain, plugins = configured(
        "writing-tracers.md", folder, tracers__trail__options={"path": str(trail)}
    )
    [tracer] = plugins.tracers_of(chain)
    links = [step.name for step in chain.links]
    for index in (-1, 0):
        arguments = (UUID, UUID, tracer.name, links, index, tracer.fresh_options())
        await call(tracer, tracer.run, *arguments)
    lines = [json.loads(line) for line in trail.read_text().splitlines()]
    assert [(line["link"], line["out"]) for line in lines] == [(None, UUID), ("tag", UUID)]
    assert lines[0]["hash"] == lines[1]["hash"] != ""


@pytest.mark.parametrize("page", ["writing-links.md", "writing-storages.md", "writing-tracers.md"])
def test_the_example_test_of_each_page(page: str, folder: Path) -> None:
    """It passes as it is printed."""
    for source in blocks(page, "python"):
        (folder / re.findall(r"\w+\.py", source)[0]).write_text(source)
    [file] = folder.glob("test_*.py")
    [test] = [v for k, v in vars(importlib.import_module(file.stem)).items() if k[:5] == "test_"]
    test(*[folder] * len(inspect.signature(test).parameters))
