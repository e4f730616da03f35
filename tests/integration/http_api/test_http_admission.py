"""How many requests are in work at once, and the access log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.db.database import Database
from core.settings import DatabaseSettings
from http_api.serving.admission import WAITING_FOR_EACH
from tests.integration.http_api.http_scene import HEADER, TOKEN, Served, serving
from tests.integration.http_api.raw_http import connected, post
from tests.integration.support.pipeline_fixtures import a_vcon


@pytest.fixture
async def served(
    config: Path, redis_url: str, migrated: Database, database_settings: DatabaseSettings
) -> AsyncIterator[Served]:
    """The API, with one place for requests in work, and the access log."""
    changes = {"api_max_concurrency": 1, "api_access_log": True}
    async with serving(config, redis_url, migrated, database_settings, **changes) as served:
        yield served


async def test_requests_beyond_the_limit_wait_then_are_refused(served: Served) -> None:
    """503 with Retry-After beyond the waiting ones; health is answered in any case."""
    admission = served.application._admission
    await admission.enter()
    async with served.http() as http:
        waiting = [asyncio.create_task(http.get("/vcon")) for _ in range(WAITING_FOR_EACH)]
        while admission.waiting < WAITING_FOR_EACH:  # noqa: ASYNC110 -- it has no event for it
            await asyncio.sleep(0.001)
        refused = await http.post("/vcon", json=a_vcon())
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "wait" in refused.json()["detail"]
        for path in ("/health", "/api/health", "/version", "/docs", "/openapi.json"):
            assert (await http.get(path)).status_code == 200
        admission.leave()
        assert {each.status_code for each in await asyncio.gather(*waiting)} == {200}
    assert (admission.taken, admission.waiting) == (0, 0)


async def test_a_slow_body_takes_no_place(served: Served) -> None:
    """While one client sends its body, another one is answered."""
    token = f"{HEADER}: {TOKEN}".encode()
    async with connected(served.port) as slow, served.http() as http:
        await slow.send(post(b"{", token, path=b"/vcon", length=100))
        answer = await http.post("/vcon", json=a_vcon())
        assert answer.status_code == 201, answer.text


async def test_the_access_log_has_no_secrets(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """Method and route, status and seconds; no parameter, header or uuid."""
    caplog.set_level(logging.INFO, "http_api.application")
    async with served.http() as http:
        await http.get("/vcons/search", params={"tel": "+15550100"})
        await http.get("/vcon/00000000-0000-0000-0000-000000000000")
        await http.get("/nowhere?secret=1")
    lines = [each for each in caplog.records if each.getMessage() == "HTTP request"]
    about = [(each.__dict__["action"], each.__dict__["status"]) for each in lines]
    assert about == [("GET /vcons/search", 200), ("GET /vcon/{vcon_uuid}", 404), ("GET none", 404)]
    assert all(0 < each.__dict__["seconds"] < 60 for each in lines)
