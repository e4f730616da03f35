"""The main job, through the Plugboard's HTTP door, with the real service and real servers."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from redis import Redis

from devstack.deployment import DATABASE, Deployment
from pipeline.vcon.normalization import normalised
from tests.canaries import canary
from tests.integration.support.otlp_collector import Collector, collector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

TESTS = Path(__file__).parents[1]
SAMPLES = {
    path.stem: json.loads(path.read_text()) for path in (TESTS.parent / "samples").glob("*.json")
}
PLUGINS = (TESTS / "plugins" / "simple-link", TESTS / "plugins" / "storages")
DONE_SECONDS = 60.0
POLL_SECONDS = 0.05

UNKNOWN = "00000000-0000-4000-8000-000000000000"
MISTAKES: list[tuple[str, dict[str, Any], int, str]] = [
    ("RunChain", {"chain": "plan", "vcon_uuid": UNKNOWN}, 404, "plain"),
    ("GetRun", {"run_id": UNKNOWN}, 404, "Unknown run"),
    ("GetVcon", {"vcon_uuid": UNKNOWN}, 404, "Unknown vCon"),
    ("StoreVcon", {"vcon_uuid": UNKNOWN, "storages": ["nowhere"]}, 404, "postgres"),
    ("IngestVcon", {"vcon": {"uuid": "../x"}, "ingress_lists": ["plain"]}, 400, "uuid"),
    ("IngestVcon", {"vcon": {}, "ingress_lists": ["planes"]}, 404, "plain"),
    ("IngestVcon", {"vcn": {}}, 400, "vcn"),
    ("Nope", {}, 404, "Nope"),
]


@pytest.fixture(scope="module")
def traces() -> Iterator[Collector]:
    """Where the system sends its traces and metrics."""
    with collector() as got:
        yield got


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(traces: Collector) -> AsyncIterator[Deployment]:
    """One running system for the whole file."""
    settings = {
        "PYTHONPATH": os.pathsep.join(map(str, PLUGINS)),
        "LOG_LEVEL": "DEBUG",
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"dd-api-key={canary('key-of-the-collector-c0c6')}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
    }
    async with Deployment(TESTS / "data" / "main_job.yml", settings=settings) as deployment:
        yield deployment


async def finished(system: Deployment, chain: str, uuids: set[str]) -> dict[str, dict[str, Any]]:
    """The last run of every vCon in a chain, once all of them have ended."""
    async with asyncio.timeout(DONE_SECONDS):
        while True:
            answer = await system.call("ListRuns", chain=chain, limit=500)
            runs = {run["vcon_uuid"]: run for run in answer.json()["fields"]["runs"]}
            if uuids <= runs.keys():
                return runs
            await asyncio.sleep(POLL_SECONDS)  # asks like any caller: the door has no events


async def ingest_all(
    system: Deployment, ingress_list: str, vcons: Mapping[str, Any] = SAMPLES
) -> set[str]:
    """Put every sample into a list, as callers would; their uuids."""
    answers = [
        await system.call("IngestVcon", vcon=vcon, ingress_lists=[ingress_list])
        for vcon in vcons.values()
    ]
    assert {answer.status_code for answer in answers} <= {200, 201}
    return {answer.json()["fields"]["uuid"] for answer in answers}


def test_there_are_enough_samples() -> None:
    """Twenty vCons of different shapes, or more."""
    assert len(SAMPLES) >= 20


@pytest.mark.asyncio(loop_scope="module")
async def test_every_sample_comes_back_as_normalisation_made_it(system: Deployment) -> None:
    """From Postgres and from the file, equal to the canonical form of what went in."""
    # under uuids of their own: other tests run the samples through other chains
    vcons = {name: vcon | {"uuid": str(uuid.uuid4())} for name, vcon in SAMPLES.items()}
    uuids = await ingest_all(system, "plain", vcons)
    runs = await finished(system, "plain", uuids)
    assert {runs[each]["status"] for each in uuids} == {"done"}
    for name, vcon in vcons.items():
        expected = normalised(vcon)
        for storage in ("postgres", "files"):
            answer = await system.call("GetVcon", vcon_uuid=expected["uuid"], storage=storage)
            assert answer.json()["fields"] == expected, (name, storage)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_rows_are_where_the_configuration_says(system: Deployment) -> None:
    """One row a sample in the table `vcons`, in vcon-server's layout."""
    uuids = await ingest_all(system, "plain")
    await finished(system, "plain", uuids)
    with psycopg.connect(system.stack.postgres.url(DATABASE)) as connection:
        rows = connection.execute("SELECT id::text, vcon_json->>'uuid' FROM vcons").fetchall()
    assert {(each, each) for each in uuids} <= set(rows)


@pytest.mark.asyncio(loop_scope="module")
async def test_plugins_of_the_documents_run_unchanged(system: Deployment) -> None:
    """The minimal link and the basic storage of vcon-server's documents, in one chain with ours."""
    uuids = await ingest_all(system, "plugins")
    runs = await finished(system, "plugins", uuids)
    assert {runs[each]["status"] for each in uuids} == {"done"}
    for each in uuids:
        saved = json.loads((system.data / "mine" / f"{each}.json").read_text())
        tags = next(a["body"] for a in saved["attachments"] if a.get("purpose") == "tags")
        assert {"seen:seen", "processed:true"} <= set(
            json.loads(tags) if isinstance(tags, str) else tags
        )


@pytest.mark.asyncio(loop_scope="module")
async def test_each_action_answers(system: Deployment) -> None:
    """Run, look, store and list: the actions with the answers of their contract."""
    vcon = next(iter(SAMPLES.values()))
    run = await system.call("RunChain", chain="plain", vcon=vcon)
    assert (run.status_code, run.json()["fields"]["status"]) == (200, "done")
    same = await system.call("GetRun", run_id=run.json()["fields"]["run_id"])
    assert same.json()["fields"] == run.json()["fields"]
    started = await system.call("RunChain", chain="plain", vcon=vcon, wait=0)
    assert started.status_code in {200, 202}
    stored = await system.call("StoreVcon", vcon=vcon, storages=["files"])
    assert stored.json()["fields"]["storages"][0]["outcome"] == "ok"
    chains = await system.call("ListChains")
    names = {each["name"] for each in chains.json()["fields"]["chains"]}
    assert names == {"plain", "plugins", "asked"}


@pytest.mark.asyncio(loop_scope="module")
async def test_mistakes_are_told(system: Deployment) -> None:
    """A wrong name or vCon: the status of its kind, and words that help."""
    for action, fields, status, words in MISTAKES:
        answer = await system.call(action, **fields)
        assert answer.status_code == status
        assert words in answer.json()["message"]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_work_of_the_workers_is_on_the_metrics_page(system: Deployment) -> None:
    """What the service answered and what its workers ran are numbers of one page."""
    uuids = await ingest_all(system, "plain")
    await finished(system, "plain", uuids)
    wanted = (
        'patchcord_requests_total{action="IngestVcon",code="20',  # 201, or 200 if not the first
        'patchcord_runs_total{chain="plain",status="done"}',
        'patchcord_storage_seconds_count{chain="plain",storage="postgres"}',
        'patchcord_ingress_depth{list="plain"} 0.0',
        "patchcord_joined 1.0",
    )
    async with asyncio.timeout(DONE_SECONDS), httpx.AsyncClient(trust_env=False) as client:
        while True:
            page = await client.get(f"http://127.0.0.1:{system.service.health_port}/metrics")
            if all(series in page.text for series in wanted):
                return
            await asyncio.sleep(POLL_SECONDS)  # a worker tells within a second


@pytest.mark.asyncio(loop_scope="module")
async def test_a_trace_goes_from_the_request_to_the_storage(
    system: Deployment, traces: Collector
) -> None:
    """The request's span is linked with by the run's, whose parts are links and storages."""
    vcon = {**SAMPLES[next(iter(SAMPLES))], "uuid": str(uuid.uuid4())}
    await system.call("IngestVcon", vcon=vcon, ingress_lists=["plugins"])
    uuids = {normalised(vcon)["uuid"]}
    await finished(system, "plugins", uuids)
    [vcon_uuid] = uuids
    run = await asyncio.to_thread(
        traces.wait_for_span, "vcon_processing.plugins", vcon_id=vcon_uuid, outcome="done"
    )
    asked = await asyncio.to_thread(traces.wait_for_id, *run.links)
    assert (asked.name, asked.parent, asked.attributes["code"]) == ("request.IngestVcon", "", 201)
    assert asked.trace != run.trace
    runs_parts = {
        span.name
        for span in traces.spans
        if span.parent == run.id and (span.trace, span.service) == (run.trace, "patchcord")
    }
    assert {name.partition(".")[0] for name in runs_parts} == {"link", "storage"}
    assert traces.headers["dd-api-key"] == "key-of-the-collector-c0c6"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_producer_of_vcon_server_is_linked_with(
    system: Deployment, traces: Collector
) -> None:
    """What another program left in `context:{list}:{uuid}` is where the run comes from."""
    vcon = next(iter(SAMPLES.values()))
    await system.call("StoreVcon", vcon=vcon, storages=["files"])
    vcon_uuid = normalised(vcon)["uuid"]
    context = {"trace_id": "ab" * 16, "span_id": "cd" * 8, "trace_flags": 1, "is_sampled": True}
    with Redis.from_url(system.stack.valkey.url) as redis:
        redis.rpush(f"context:plugins:{vcon_uuid}", json.dumps(context))
    await system.call("EnqueueVcons", vcon_uuids=[vcon_uuid], ingress_list="plugins")
    run = await asyncio.to_thread(traces.wait_for_link, "cd" * 8)
    assert run.name == "vcon_processing.plugins"
    assert run.attributes["vcon_id"] == vcon_uuid


@pytest.mark.asyncio(loop_scope="module")
async def test_the_same_numbers_are_sent_over_otlp(system: Deployment, traces: Collector) -> None:
    """What is on the metrics page reaches the collector, workers' numbers included."""
    for _ in range(2):  # the second time, if not the first, they are duplicates: 200
        uuids = await ingest_all(system, "plain")
    await finished(system, "plain", uuids)
    await asyncio.to_thread(
        *(traces.wait_for_metric, "patchcord_requests", len(SAMPLES)),
        action="IngestVcon",
        code="200",
    )
    runs = await asyncio.to_thread(traces.wait_for_metric, "patchcord_run_seconds", chain="plain")
    assert runs.count == sum(runs.bucket_counts) > 0


@pytest.mark.asyncio(loop_scope="module")
async def test_a_plugins_lines_in_the_workers_log_say_which_vcon(system: Deployment) -> None:
    """A link of the documents logs as it likes; its run and vCon stand beside its words."""
    [vcon_uuid, *_] = uuids = list(await ingest_all(system, "plugins"))
    runs = await finished(system, "plugins", set(uuids))
    [line, *_] = [
        line
        for line in system.service.logged().splitlines()
        if f"Processing {vcon_uuid}" in line and runs[vcon_uuid]["run_id"] in line
    ]
    assert f"vcon={vcon_uuid}" in line
    assert "chain=plugins" in line


@pytest.mark.asyncio(loop_scope="module")
async def test_a_chain_tags_from_a_query(system: Deployment) -> None:
    """Over the connection that a storage and a caller use as well."""
    vcon = SAMPLES["minimal-0.0.1"] | {"uuid": str(uuid.uuid4())}
    answer = await system.call("IngestVcon", vcon=vcon, ingress_lists=["asked"])
    runs = await finished(system, "asked", {vcon["uuid"]})
    assert runs[vcon["uuid"]]["status"] == "done", (answer.text, runs)
    answer = await system.call("GetVcon", vcon_uuid=vcon["uuid"], storage="lent")
    [tags] = answer.json()["fields"]["attachments"]
    assert json.loads(tags["body"]) == ["tier:gold", f"asked:{vcon['uuid']}"]
    params = {"query": "SELECT count(*) AS n FROM vcons WHERE id = $1", "params": [vcon["uuid"]]}
    asked = {"connection": "customers", "task": "pg_query", "params": params}
    answer = await system.call("RunTask", **asked)
    assert answer.json()["fields"]["outputs"] == {"rows": [{"n": 1}], "count": 1}
    answer = await system.call("RunTask", **asked | {"task": "pg_execute"})
    assert answer.status_code == httpx.codes.FORBIDDEN
    answer = await system.call("ListConnections")
    [told] = answer.json()["fields"]["connections"]
    assert (told["health"], told["tasks"]) == ("ok", ["pg_query"])
