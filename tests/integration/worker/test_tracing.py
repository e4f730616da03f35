"""Tracers: told about each link, before the first and after every one."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from lib.vcon_redis import AsyncVconRedis
from tests.integration.support.pipeline_fixtures import (
    Scene,
    a_vcon,
    configured,
    link,
    new_uuid,
    tracer,
)

pytestmark = pytest.mark.usefixtures("at_once")


async def ok(vcon_uuid: str, _name: str, _options: Any) -> str:
    """A link that does nothing."""
    return vcon_uuid


class Notebook:
    """A tracer that writes down what it is told, and fails when told to."""

    def __init__(self, fails_at: int | None = None, times: int = 1) -> None:
        self.notes: list[tuple[Any, ...]] = []
        self._fails_at = fails_at
        self._times = times

    def run(
        self, vcon_in: str, vcon_out: str, name: str, links: list[str], index: int, options: Any
    ) -> None:
        """The tracer."""
        self.notes.append((vcon_in, vcon_out, name, list(links), index, dict(options)))
        links.clear()  # it may do with its arguments what it likes
        options.clear()
        if index == self._fails_at and self._times:
            self._times -= 1
            raise ValueError("no pen")

    @property
    def indexes(self) -> list[int]:
        """When it was called."""
        return [note[4] for note in self.notes]


async def test_tracers_are_called_before_the_first_link_and_after_each(scene: Scene):
    """Index -1, then 0, 1, ...; in and out in the order of their names, also when they differ."""
    made, book = new_uuid(), Notebook()

    async def replaces(_vcon_uuid: str, _name: str, _options: Any) -> str:
        await AsyncVconRedis().store_vcon_dict(a_vcon(made))
        return made

    links = [link(ok, "a"), link(replaces, "b"), link(ok, "c")]
    await scene.start(configured(links=links, tracers=[tracer(book.run, "book", colour="red")]))
    [came_in] = await scene.feed()
    assert (await scene.ended()).status == "done"
    names, options = ["a", "b", "c"], {"colour": "red"}
    assert book.notes == [
        (came_in, came_in, "book", names, -1, options),
        (came_in, came_in, "book", names, 0, options),
        (came_in, made, "book", names, 1, options),
        (made, made, "book", names, 2, options),
    ]


async def test_all_tracers_of_a_chain_are_called_in_order(scene: Scene):
    """Sync or async, one after another."""
    order: list[str] = []

    def sync_trace(*arguments: Any) -> None:
        order.append(arguments[2])

    async def async_trace(*arguments: Any) -> None:
        order.append(arguments[2])

    tracers = [tracer(sync_trace, "first"), tracer(async_trace, "second")]
    await scene.start(configured(links=[link(ok)], tracers=tracers))
    await scene.feed()
    await scene.ended()
    assert order == ["first", "second"] * 2


async def test_tracers_see_what_the_link_has_written(scene: Scene):
    """A tracer that reads from Redis finds the document as the link left it."""
    seen: list[Any] = []

    async def writes(vcon_uuid: str, _name: str, _options: Any) -> str:
        await AsyncVconRedis().store_vcon_dict(a_vcon(vcon_uuid, subject="new"))
        return vcon_uuid

    def trace(_in: str, vcon_out: str, *_: Any) -> None:
        document = scene.client.json().get(f"vcon:{vcon_out}")
        seen.append(document.get("subject"))

    links = [link(writes, only_through_lib=True)]
    await scene.start(configured(links=links, tracers=[tracer(trace)]))
    await scene.feed()
    await scene.ended()
    assert seen == [None, "new"]


async def test_a_halt_is_traced_and_a_failure_is_not(scene: Scene):
    """After a link that halts the tracer is called, after one that raises it is not."""
    book = Notebook()
    chain = configured(links=[link(lambda *_: None, "halts")], tracers=[tracer(book.run)])
    await scene.start(chain)
    await scene.feed()
    assert (await scene.ended()).status == "halted"
    assert book.indexes == [-1, 0]


async def test_a_link_that_fails_is_not_traced(scene: Scene):
    """There is nothing that came out of it."""
    book = Notebook()

    async def fails(*_: Any) -> str:
        raise RuntimeError

    chain = configured(links=[link(fails)], tracers=[tracer(book.run)], max_attempts=1)
    await scene.start(chain)
    await scene.feed()
    assert (await scene.ended()).status == "failed"
    assert book.indexes == [-1]


async def test_a_tracer_that_fails_is_logged_and_no_more(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    """The run goes on; the line says which tracer, which vCon and why."""
    book = Notebook(fails_at=0)
    await scene.start(configured(links=[link(ok)], tracers=[tracer(book.run, "book")]))
    [vcon_uuid] = await scene.feed()
    with caplog.at_level(logging.WARNING, "pipeline.worker.tracers"):
        assert (await scene.ended()).status == "done"
    [record] = [each for each in caplog.records if each.name == "pipeline.worker.tracers"]
    assert (record.tracer, record.vcon, record.error) == ("book", vcon_uuid, "ValueError: no pen")


async def test_a_tracer_may_send_the_vcon_to_the_dead_letters(scene: Scene):
    """With `dlq_vcon_on_error` its failure is a failure of the link that it was told about."""
    book = Notebook(fails_at=0)
    strict = tracer(book.run, "book", dlq_vcon_on_error=True)
    await scene.start(configured(links=[link(ok, "a"), link(ok, "b")], tracers=[strict]))
    [vcon_uuid] = await scene.feed()
    failed = await scene.ended()
    assert failed.how == "later"
    assert failed.steps == [("a", "failed")]
    ended = await scene.finished()
    assert ended.status == "done"
    assert book.indexes == [-1, 0, -1, 0, 1]
    assert scene.elements("out") == [vcon_uuid]


async def test_a_tracer_may_object_before_the_first_link(scene: Scene):
    """Then no link runs, and the reason names the tracer."""
    book, ran = Notebook(fails_at=-1), []
    strict = tracer(book.run, "book", dlq_vcon_on_error=True)

    async def runs(vcon_uuid: str, _name: str, _options: Any) -> str:
        ran.append(vcon_uuid)
        return vcon_uuid

    await scene.start(configured(links=[link(runs)], tracers=[strict], max_attempts=1))
    [vcon_uuid] = await scene.feed()
    assert (await scene.ended()).status == "failed"
    assert not ran
    assert scene.reason("DLQ:in", vcon_uuid)["error"] == "tracer book: ValueError: no pen"


async def test_an_objection_to_a_replacement_takes_it_back(scene: Scene):
    """When the tracer would not have the new vCon, the next attempt starts with the old one."""
    book, seen = Notebook(fails_at=0), []
    strict = tracer(book.run, "book", dlq_vcon_on_error=True)

    async def replaces(vcon_uuid: str, _name: str, _options: Any) -> str:
        seen.append(vcon_uuid)
        made = new_uuid()
        await AsyncVconRedis().store_vcon_dict(a_vcon(made))
        return made

    await scene.start(configured(links=[link(replaces)], tracers=[strict]))
    [vcon_uuid] = await scene.feed()
    assert (await scene.finished()).status == "done"
    assert seen == [vcon_uuid, vcon_uuid]


async def test_a_chain_without_links_is_not_traced(scene: Scene):
    """There is nothing to wrap."""
    book = Notebook()
    await scene.start(configured(tracers=[tracer(book.run)]))
    await scene.feed()
    assert (await scene.ended()).status == "done"
    assert book.notes == []
