"""The trace of a caller continues in the queue, with traces sent and without."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from core.observability import otlp, tracing
from core.observability.otlp import OtlpSpans
from tests.integration.http_api.http_scene import Served
from tests.integration.support.otlp_collector import Collector, collector
from tests.integration.support.pipeline_fixtures import a_vcon

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
CALLER = {"trace_id": TRACE, "span_id": SPAN, "trace_flags": 1, "is_sampled": True}


def left(served: Served, vcon_uuid: str, name: str = "in") -> list[Any]:
    """The contexts that the reader of the list finds."""
    contexts: Any = served.client.lrange(f"context:{name}:{vcon_uuid}", 0, -1)
    return [json.loads(each) for each in contexts]


async def post(http: httpx.AsyncClient, traceparent: str | None) -> str:
    """The uuid of a new vCon in two lists."""
    vcon = a_vcon()
    headers = {} if traceparent is None else {"traceparent": traceparent}
    answer = await http.post("/vcon?ingress_lists=in,second", json=vcon, headers=headers)
    assert answer.status_code == 201
    return str(vcon["uuid"])


async def test_without_traces_the_callers_context_is_passed_on(
    http: httpx.AsyncClient, served: Served
) -> None:
    """As it is, for every list; by POST /vcon/ingress, too."""
    vcon_uuid = await post(http, PARENT)
    assert left(served, vcon_uuid) == left(served, vcon_uuid, "second") == [CALLER]
    unsampled = PARENT[:-1] + "0"
    await http.post(
        "/vcon/ingress?ingress_list=in", json=[vcon_uuid], headers={"traceparent": unsampled}
    )
    assert left(served, vcon_uuid)[1] == CALLER | {"trace_flags": 0, "is_sampled": False}


@pytest.mark.parametrize("traceparent", [None, "nonsense", "ff" + PARENT[2:], PARENT.upper()])
async def test_what_is_no_context_is_ignored(
    http: httpx.AsyncClient, served: Served, traceparent: str | None
) -> None:
    """Nothing is stored; and nothing of another request on the same connection."""
    await post(http, PARENT)
    assert left(served, await post(http, traceparent)) == []


async def test_requests_at_once_keep_their_contexts_apart(
    http: httpx.AsyncClient, served: Served
) -> None:
    """Each vCon has that of its own request."""
    spans = [f"{number:016x}" for number in range(1, 9)]
    uuids = await asyncio.gather(*(post(http, f"00-{TRACE}-{span}-01") for span in spans))
    found = [left(served, each)[0]["span_id"] for each in uuids]
    assert found == spans


@pytest.fixture
def got(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector to which this process sends; to be named before what it traces."""
    with collector() as got:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", got.url)
        spans = OtlpSpans(otlp.resource("tests"))
        monkeypatch.setattr(tracing, "_installed", [spans])
        yield got
        spans.close()


async def test_with_traces_the_request_is_a_child_of_the_caller(
    got: Collector, http: httpx.AsyncClient, served: Served
) -> None:
    """Its own context goes into the queue; a request without a caller begins a trace."""
    vcon_uuid = await post(http, PARENT)
    [context] = left(served, vcon_uuid)
    alone = await post(http, None)
    await http.get("/vcon/nope")
    await asyncio.to_thread(tracing._installed[0].close)  # type: ignore[attr-defined]
    span = got.wait_for_id(context["span_id"])
    assert (span.name, span.trace, span.parent) == ("http.POST /vcon", TRACE, SPAN)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/vcon",
        "http.response.status_code": 201,
    }
    first = got.wait_for_id(left(served, alone)[0]["span_id"])
    assert (first.parent, first.trace != TRACE) == ("", True)
    refused = got.wait_for_span("http.GET /vcon/{vcon_uuid}")
    assert (refused.attributes["http.response.status_code"], refused.failed) == (422, False)


async def test_with_traces_an_unsampled_caller_leaves_nothing(
    got: Collector, http: httpx.AsyncClient, served: Served
) -> None:
    """Its decision is kept, as OpenTelemetry's samplers do by default."""
    assert left(served, await post(http, PARENT[:-1] + "0")) == []
    assert got.spans == []
