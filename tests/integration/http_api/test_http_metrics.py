"""What the process counts of requests, and that it logs none of them unless asked to."""

from __future__ import annotations

import logging
from collections import Counter

import pytest

from core.observability.metrics import HTTP_REQUESTS
from tests.integration.http_api.http_scene import Served
from tests.integration.support.pipeline_fixtures import new_uuid


def counted() -> Counter[tuple[str, str]]:
    """The requests so far, by route and status."""
    counts, _ = HTTP_REQUESTS.collect()
    return Counter(
        {(each.labels["route"], each.labels["status"]): int(each.value) for each in counts.samples}
    )


async def test_requests_are_counted_by_route_and_status(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """No part of a path or parameter becomes a label; no line is logged without API_ACCESS_LOG."""
    caplog.set_level(logging.INFO, "http_api")
    before = counted()
    async with served.http() as http, served.http("wrong") as stranger:
        for path in (f"/vcon/{new_uuid()}", f"/api/vcon/{new_uuid()}", "/vcon/count", "/no/where"):
            await http.get(path)
        await http.put("/vcon")
        await stranger.get("/vcons/search?tel=x")
        await http.get("/health")
    assert counted() - before == {
        ("/vcon/{vcon_uuid}", "404"): 2,
        ("/vcon/count", "422"): 1,
        ("none", "404"): 1,
        ("none", "405"): 1,
        ("/vcons/search", "403"): 1,
        ("/health", "200"): 1,
    }
    assert [each for each in caplog.records if each.name == "http_api.application"] == []
