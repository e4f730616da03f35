"""Links, storages and plugins in threads that use a connection by its name, in the real engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import storage.connection
from flowlang.connections import plugin_registry
from lib import connections as lib_connections
from links import connection_task, flow
from pipeline.config.connections import ConnectionSpec, FlowsSpec
from pipeline.config.model import PipelineConfig
from pipeline.connections import registry
from pipeline.connections.registry import ServiceConnections
from tests.integration.support.pipeline_fixtures import Scene, a_vcon, configured, link, new_uuid
from tests.unit.support.flowlang_plugins import Parcel, parcels

LOOKUP = """
flow: Lookup
inputs: [{name: tel, type: string}]
steps:
  - parcel_put: {connection: depot, number: "${inputs.tel}", content: {tier: gold}}
  - parcel_get: {id: got, connection: depot, number: "${inputs.tel}"}
outputs: [{name: tier, value: "${got.content.tier}"}]
"""


def depot(name: str, folder: Path) -> PipelineConfig:
    """A configuration with one connection."""
    given = {"type": "parcel", "depot": name, "api_key": "sk_verysecret"}
    spec = ConnectionSpec("depot", "parcel", given, ("parcel_where", "parcel_fail", "parcel_wait"))
    return PipelineConfig(connections={"depot": spec}, flows=FlowsSpec(str(folder), ("lookup",)))


@pytest.fixture
async def service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ServiceConnections]:
    """The process's connections: a depot, and one flow."""
    parcels(tmp_path)
    plugin_registry.discover_plugins()
    monkeypatch.setitem(plugin_registry._plugins, "parcel", Parcel())
    (tmp_path / "lookup.yaml").write_text(LOOKUP)
    made = registry.install(depot("north", tmp_path))
    yield made
    await made.close()
    registry._installed = None


ASK = {
    "connection": "depot",
    "task": "parcel_echo",
    "params": {"value": {"tel": "${vcon.parties[0].tel}", "by": "${link.name}"}},
    "store_as": "tag",
    "value": "${result.value}",
}


async def test_a_chain_tags_from_a_task_and_a_flow(scene: Scene, service: ServiceConnections):
    """Over one connection, opened once for many vCons; each step is ok."""
    lookup = {"flow": "lookup", "inputs": {"tel": "${vcon.parties[0].tel}"}, "store_as": "analysis"}
    links = [
        link(connection_task.run, "ask", options=ASK, only_through_lib=True),
        link(flow.run, "look", options=lookup, only_through_lib=True),
    ]
    await scene.start(configured(links=links))
    uuids = await scene.feed(count=3)
    for _ in uuids:
        assert (await scene.ended()).status == "done"
    document = await scene.store.get(uuids[0])
    assert document is not None
    assert json.loads(document["attachments"][0]["body"]) == ["tel:+15550100", "by:ask"]
    assert document["analysis"][0]["body"] == '{"tier":"gold"}'
    assert Parcel.log.count("open north") == 1


async def test_what_fails_stops_or_goes_on(scene: Scene, service: ServiceConnections):
    """By `on_error`; a task that fails, and a vCon without what is asked for."""
    vcon = a_vcon()
    await scene.store.put(vcon)
    fails = {
        "connection": "depot",
        "task": "parcel_fail",
        "params": {"message": "no sk_verysecret"},
    }
    with pytest.raises(RuntimeError, match=r"parcel_fail of depot: no \[redacted\]"):
        await connection_task.run(vcon["uuid"], "ask", fails)
    lacks = ASK | {"params": {"value": "${vcon.subject}"}}
    with pytest.raises(LookupError, match="no 'subject'"):
        await connection_task.run(vcon["uuid"], "ask", lacks)
    for options in (fails, lacks):
        goes_on = options | {"on_error": "continue", "store_as": "tag"}
        assert await connection_task.run(vcon["uuid"], "ask", goes_on) == vcon["uuid"]
    assert await scene.store.get(vcon["uuid"]) == vcon
    assert await connection_task.run(new_uuid(), "ask", ASK) is None


async def test_a_plugin_in_a_thread_asks_the_loop(service: ServiceConnections):
    """And on the loop itself it is told to await."""

    def plugin() -> Any:
        where = lib_connections.run_task_from_thread("depot", "parcel_where")
        return where, lib_connections.run_flow_from_thread("lookup", tel="1")

    with pytest.raises(RuntimeError, match="await"):
        plugin()
    assert await service.check("depot") is None
    assert await asyncio.to_thread(plugin) == ({"depot": "north"}, {"tier": "gold"})
    with pytest.raises(RuntimeError, match="await"):
        plugin()


async def test_another_configuration_is_taken_on_the_fly(
    service: ServiceConnections, tmp_path: Path
):
    """The next task goes to the new place, the old connection is closed."""
    assert await lib_connections.run_task("depot", "parcel_where") == {"depot": "north"}
    service.take(depot("south", tmp_path))
    assert await lib_connections.run_task("depot", "parcel_where") == {"depot": "south"}
    assert "close north" in Parcel.log
    service.take(PipelineConfig())
    with pytest.raises(lib_connections.ConnectionFailedError, match="'depot' not found"):
        await lib_connections.run_task("depot", "parcel_where")


async def test_a_flow_that_is_not_there_is_told(service: ServiceConnections):
    """With those there are."""
    with pytest.raises(lib_connections.ConnectionFailedError, match="There is: lookup"):
        await lib_connections.run_flow("lokup")


def test_outside_of_the_service_there_are_no_connections():
    """And that is said."""
    with pytest.raises(RuntimeError, match="outside of the service"):
        registry.installed()


KEEPS = {
    "connection": "depot",
    "save": {
        "task": "parcel_put",
        "params": {"number": "${vcon.uuid}", "content": "${vcon.json}"},
    },
    "get": {
        "task": "parcel_get",
        "params": {"number": "${vcon.uuid}"},
        "value": "${result.content}",
    },
    "delete": {"task": "parcel_put", "params": {"number": "${vcon.uuid}", "content": ""}},
}


async def test_a_storage_keeps_vcons_with_tasks(scene: Scene, service: ServiceConnections):
    """What was saved is got again, until it is deleted."""
    vcon = a_vcon()
    await scene.store.put(vcon)
    await storage.connection.save(vcon["uuid"], KEEPS)
    assert await storage.connection.get(vcon["uuid"], KEEPS) == vcon
    assert await storage.connection.delete(vcon["uuid"], KEEPS) is True
    assert await storage.connection.get(vcon["uuid"], KEEPS) is None
    with pytest.raises(LookupError, match="there is no vCon"):
        await storage.connection.save(new_uuid(), KEEPS)
    only_saves = {"save": {"flow": "lookup", "inputs": {"tel": "${vcon.parties[0].tel}"}}}
    await storage.connection.save(vcon["uuid"], only_saves)
    assert await storage.connection.get(vcon["uuid"], only_saves) is None
    assert await storage.connection.delete(vcon["uuid"], only_saves) is False
    odd = KEEPS | {"get": KEEPS["get"] | {"value": [1]}}
    with pytest.raises(RuntimeError, match="gave list"):
        await storage.connection.get(vcon["uuid"], odd)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "save"),
        ({"save": {"task": "t"}}, "connection: required for tasks"),
        ({"connection": "c", "save": {}}, "set either task or flow"),
        ({"connection": "c", "save": {"task": "t", "flow": "f"}}, "set either task or flow"),
        (
            {"connection": "c", "save": {"task": "t", "params": {"query": "'${vcon.subject}'"}}},
            "could change the statement",
        ),
    ],
)
def test_a_storage_needs_to_know_how(options: dict[str, Any], said: str):
    """A start tells what is missing."""
    with pytest.raises(ValueError, match=said):
        storage.connection.Options.of(options)
