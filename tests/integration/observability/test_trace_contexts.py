"""A trace continues across the queues; without tracing nothing is stored there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from core.observability import tracing
from core.observability.tracing import Attributes, Caller, Spans
from pipeline.ingest.entry import Entry
from pipeline.live_config import Configuration
from pipeline.runs.spans import with_spans
from tests.integration.support.dead_letters_scene import Plugins, failed, replay
from tests.integration.support.operations_scene import operations
from tests.integration.support.pipeline_fixtures import (
    Scene,
    a_vcon,
    configured,
    link,
    new_uuid,
    storage,
)

DAY = 86_400
_open: ContextVar[str] = ContextVar("open", default="")


@dataclass
class Traced:
    """One span that was opened."""

    name: str
    attributes: Attributes
    producer: str
    parent: str
    said: dict[str, str | int] = field(default_factory=dict)
    failure: str = ""

    def say(self, name: str, value: str | int) -> None:
        self.said[name] = value

    def failed(self, why: str) -> None:
        self.failure = why


class Notebook(Spans):
    """Writes spans down; the context of one is its name with its number."""

    def __init__(self) -> None:
        self.spans: list[Traced] = []

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes,
        producer: str = "",
        caller: Caller | None = None,
    ) -> Iterator[Traced]:
        span = Traced(name, attributes, producer, caller.context if caller else _open.get())
        self.spans.append(span)
        token = _open.set(f"{name}#{len(self.spans)}")
        try:
            yield span
        except Exception:
            span.failed("raised")
            raise
        finally:
            _open.reset(token)

    def context(self) -> str:
        return _open.get()

    def named(self, name: str) -> list[Traced]:
        """The spans of that name, in order."""
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """This process is traced into a notebook; to be named before the fixtures that it traces."""
    notebook = Notebook()
    monkeypatch.setattr(tracing, "_installed", [notebook])
    return notebook


def traced(configuration: Configuration, notebook: Notebook) -> Configuration:
    """The configuration as a traced process has it."""
    return Configuration(configuration.config, with_spans(configuration.plugins, notebook))


async def ingest(scene: Scene, *lists: str) -> str:
    """Take in a vCon as the action does; its uuid."""
    vcon = a_vcon()
    entry = Entry(vcon["uuid"], orjson.dumps(vcon), 0.0, vcon["uuid"], ())
    await scene.intake.ingest(entry, lists)
    return vcon["uuid"]


def fine(vcon_uuid: str, _name: str, _opts: Any) -> str:
    """A link that lets everything pass."""
    return vcon_uuid


async def test_the_context_goes_from_the_producer_to_the_reader(
    notebook: Notebook, scene: Scene
) -> None:
    """Ingest leaves its span for the run, the run its own for the egress list, each for a day."""
    with notebook.span("producer", {}):
        vcon_uuid = await ingest(scene, "in", "other")
    for name in ("in", "other"):
        key = f"context:{name}:{vcon_uuid}"
        assert scene.elements(key) == ["producer#1"]
        assert 0 < scene.client.ttl(key) <= DAY
    await scene.start(traced(configured(links=[link(fine)], storages=[storage()]), notebook))
    await scene.finished()
    [run] = notebook.named("vcon_processing.main")
    assert (run.producer, run.parent) == ("producer#1", "")
    assert run.attributes["vcon_id"] == vcon_uuid
    assert run.said == {"outcome": "done"}
    assert scene.elements(f"context:in:{vcon_uuid}") == []
    left = f"context:out:{vcon_uuid}"
    assert scene.elements(left) == ["vcon_processing.main#2"]
    assert 0 < scene.client.ttl(left) <= DAY


async def test_links_and_storages_are_parts_of_their_run(notebook: Notebook, scene: Scene) -> None:
    """On the event loop, in threads, and in threads that go on with the next link."""

    async def on_the_loop(vcon_uuid: str, _name: str, _opts: Any) -> str:
        return vcon_uuid

    def refuse(_uuid: str, _options: Any) -> None:
        raise OSError("full")

    links = [link(fine, "a"), link(fine, "b"), link(on_the_loop, "c")]
    storages = [storage(name="shelf"), storage(refuse, "broken")]
    await scene.start(traced(configured(links=links, storages=storages), notebook))
    [vcon_uuid] = await scene.feed()
    await scene.finished()
    parts = {span.name: span for span in notebook.spans[1:]}
    assert set(parts) == {"link.a", "link.b", "link.c", "storage.shelf", "storage.broken"}
    assert {span.parent for span in parts.values()} == {"vcon_processing.main#1"}
    assert {span.attributes["vcon_id"] for span in parts.values()} == {vcon_uuid}
    assert {span.attributes["chain_name"] for span in parts.values()} == {"main"}
    assert [parts[f"link.{name}"].attributes["link_index"] for name in "abc"] == [0, 1, 2]
    assert parts["link.a"].said == {"outcome": "success"}
    assert {name for name, span in parts.items() if span.failure} == {"storage.broken"}
    assert notebook.spans[0].failure == "partial"


@pytest.mark.usefixtures("notebook", "at_once")  # traces are installed before queues are built
async def test_a_repeated_attempt_finds_its_producer(notebook: Notebook, scene: Scene) -> None:
    """What goes back to its list takes the context along."""
    failures = iter([OSError("once")])

    def moody(vcon_uuid: str, _name: str, _opts: Any) -> str:
        if error := next(failures, None):
            raise error
        return vcon_uuid

    with notebook.span("producer", {}):
        await ingest(scene, "in")
    await scene.start(traced(configured(links=[link(moody)], max_attempts=2), notebook))
    await scene.finished()
    attempts = notebook.named("vcon_processing.main")
    assert [span.producer for span in attempts] == ["producer#1", "producer#1"]
    assert [span.failure for span in attempts] == ["failed", ""]


async def test_a_requested_run_is_linked_with_its_request(notebook: Notebook, scene: Scene) -> None:
    """Each run of RunChain has the context of its own request, also on the same vCon."""
    chain = traced(configured(), notebook)
    [vcon_uuid] = await scene.feed("elsewhere")
    for _ in range(2):
        with notebook.span("request", {}):
            await scene.runs(chain).start("main", vcon_uuid)
    await scene.start(chain)
    for _ in range(2):
        await scene.finished()
    producers = [span.producer for span in notebook.named("vcon_processing.main")]
    assert sorted(producers) == ["request#1", "request#2"]


async def test_what_is_queued_again_is_linked_with_who_did_it(
    notebook: Notebook, scene: Scene
) -> None:
    """EnqueueVcons is a producer like any other."""
    [vcon_uuid] = await scene.feed("elsewhere")
    with notebook.span("request", {}):
        assert await scene.intake.enqueue([vcon_uuid, missing := new_uuid()], "in") == [missing]
    assert scene.elements(f"context:in:{vcon_uuid}") == ["request#1"]
    assert scene.client.keys(f"context:*:{missing}") == []


async def test_a_replay_is_linked_with_who_asked_for_it(redis_url: str, notebook: Notebook) -> None:
    """What once produced the dead letter is long over; the replay is why it runs now."""
    plugins = Plugins()
    async with operations(redis_url) as ops:
        ops.configure(plugins.configuration())
        await failed(ops, plugins, "second")
        with notebook.span("request", {}):
            assert await replay(ops) == 1
        await ops.work()
    *_, run = notebook.named("vcon_processing.main")
    assert run.producer.startswith("request#")


async def test_nobody_traces_nothing_is_left(scene: Scene) -> None:
    """Without tracing no context is written, and what others have left stays where it is."""
    vcon_uuid = await ingest(scene, "in")
    scene.client.rpush(f"context:in:{vcon_uuid}", "theirs")
    await scene.start(configured(links=[link(fine)]))
    await scene.finished()
    assert scene.client.keys("context:*") == [f"context:in:{vcon_uuid}"]
    assert scene.elements(f"context:in:{vcon_uuid}") == ["theirs"]
