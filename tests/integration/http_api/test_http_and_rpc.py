"""The HTTP API and the actions decide the same about every vCon: one place decides."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import math
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, event, given, settings

from core.action_registry import ActionRegistry
from core.db.database import Database
from core.phoenix.frames import Frame, decode_v2
from core.rpc.dispatcher import Dispatcher
from core.settings import DatabaseSettings
from tests.emptying import empty
from tests.integration.http_api.http_scene import Served, serving
from tests.integration.ingest.test_ingest_fuzz import ANYTHING, ENVELOPES, VCONS
from tests.integration.support.pipeline_fixtures import a_vcon

SAMPLES = Path(__file__).parents[3] / "samples"
DOCUMENTS = sorted([*SAMPLES.glob("*.json"), *(SAMPLES / "makers").glob("*.json")])
STATUSES = {200: 201, 201: 201, 400: 422, 413: 413}
"""What HTTP answers where an action answers so."""


class TwoWays:
    """One pipeline, asked over HTTP and by a frame of the Plugboard."""

    def __init__(self, served: Served, http: httpx.AsyncClient) -> None:
        self.served, self._http = served, http
        self._dispatcher = Dispatcher(
            ActionRegistry.discover("actions"), run_blocking=asyncio.to_thread
        )

    async def by_http(self, text: str) -> tuple[int, dict[str, str]]:
        """The status, and what Redis has then."""
        empty(self.served.client)
        answer = await self._http.post("/vcon?ingress_lists=in", content=text.encode())
        kept = self._kept()
        if answer.status_code == 201:
            [document] = kept.values()
            assert same(answer.json(), document)
        return answer.status_code, kept

    async def by_rpc(self, text: str) -> tuple[int, dict[str, str]]:
        """The same of the action, which is told the text as it is."""
        empty(self.served.client)
        fields = f'{{"vcon": {text}, "ingress_lists": ["in"]}}'
        frame = decode_v2(f'[null, null, "service", "request", {{"fields": {fields}}}]'.encode())
        if not isinstance(frame, Frame):
            return 422, {}
        client = SimpleNamespace(pipeline=self.served.pipeline.service)
        answer = await self._dispatcher.answer("IngestVcon", frame.payload["fields"], client, None)
        return STATUSES[answer.status_code], self._kept()

    def _kept(self) -> dict[str, Any]:
        client = self.served.client
        uuids = self.served.queued("in")
        return {name: client.json().get(f"vcon:{name}") for name in uuids}  # type: ignore[misc]


def same(one: Any, other: Any) -> bool:
    """Equal, but for the time of receipt and the last digit of a float."""
    if isinstance(one, dict) and isinstance(other, dict):
        if "created_at_source" in one:
            one, other = ({**each, "created_at": ""} for each in (one, other))
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-15)
    return type(one) is type(other) and bool(one == other)


async def agree(ways: TwoWays, text: str) -> int:
    """The status that both come to, with the same in Redis."""
    (status, kept), (other, kept_by_rpc) = await ways.by_http(text), await ways.by_rpc(text)
    assert status == other, text
    assert same(kept, kept_by_rpc), text
    return status


@pytest.fixture
def ways(
    config: Path, redis_url: str, migrated: Database, database_settings: DatabaseSettings
) -> Iterator[tuple[asyncio.Runner, TwoWays]]:
    """Both ways, in an event loop that lives as long as the test."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def opened() -> TwoWays:
            changes = {"max_vcon_bytes": 2_000_000}
            scene = serving(config, redis_url, migrated, database_settings, **changes)
            served = await stack.enter_async_context(scene)
            return TwoWays(served, await stack.enter_async_context(served.http()))

        yield runner, runner.run(opened())
        runner.run(stack.aclose())


def test_every_sample_is_decided_alike(ways: tuple[asyncio.Runner, TwoWays]) -> None:
    """Accepted or refused, with the same document in Redis and in the answer of HTTP."""
    runner, both = ways
    statuses = {path.name: runner.run(agree(both, path.read_text())) for path in DOCUMENTS}
    assert len(statuses) > 60
    assert sum(status == 201 for status in statuses.values()) > 50, statuses


TEXTS = (
    '"text"',
    "[]",
    "null",
    "1e999",
    "",
    "{",
    "{}{}",
    '{"vcon": "0.4.0", "uuid": "\\ud800"}',
    json.dumps(a_vcon(n=10**400)),
    json.dumps(a_vcon(n=2**64)),
    json.dumps(a_vcon(n=2**64, subject="x" * 300_000)),
    json.dumps(a_vcon(n=-(2**63) - 1, subject="x" * 300_000)),
    json.dumps(a_vcon(n=2**64 - 1)),
    json.dumps(a_vcon(n=f"[{2**64}, 1]")),
    json.dumps(base64.b64encode(gzip.compress(json.dumps(a_vcon(n=2**64)).encode())).decode()),
    json.dumps(base64.b64encode(gzip.compress(json.dumps(a_vcon()).encode())).decode()),
    json.dumps(a_vcon(n=float("nan"))),
    json.dumps(a_vcon(n="\0")),
    json.dumps(a_vcon(n="\ud800")),
    json.dumps(a_vcon())[:-1] + ', "uuid": "x"}',
    json.dumps(a_vcon(n=0)).replace('"n": 0', '"n": ' + "[" * 500 + "]" * 500),
    json.dumps(a_vcon(subject="x" * 2_000_000)),
    json.dumps(a_vcon(n=["x" * 300_000])),
)


@pytest.mark.timeout(900)  # of the long form
@settings(suppress_health_check=list(HealthCheck))
@given(vcon=VCONS | VCONS | ENVELOPES | ANYTHING)
def test_any_json_is_decided_alike(ways: tuple[asyncio.Runner, TwoWays], vcon: Any) -> None:
    """What one takes the other takes, and what one refuses the other refuses."""
    runner, both = ways
    event(f"answered {runner.run(agree(both, json.dumps(vcon)))}")


def test_odd_texts_are_decided_alike(ways: tuple[asyncio.Runner, TwoWays]) -> None:
    """Numbers, characters, depths and ends that parsers of JSON treat differently."""
    runner, both = ways
    for text in TEXTS:
        runner.run(agree(both, text))
