"""Every action beside a key of another type: refused where it needs the key, never a 500."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from core.action_response import ActionResponse
from core.rpc.dispatcher import Dispatcher
from pipeline.api import PipelineService
from pipeline.redis_client import keys
from pipeline.runs.vcon_store import VconStore
from pipeline.storages.lookup import VconLookup
from tests.integration.support.law_gates import without_law
from tests.integration.support.operations_scene import (
    ACTIONS,
    EXPIRY,
    Notebook,
    Operations,
    operations,
)
from tests.integration.support.pipeline_fixtures import a_vcon, configured

VCON, RUN = str(UUID(int=1)), str(UUID(int=2))  # in the ids of tests, so the same in every process
DOCUMENT = a_vcon(VCON)
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("IngestVcon", {"vcon": DOCUMENT, "ingress_lists": ["in"]}),
    ("IngestVcon", {"vcon": a_vcon(), "ingress_lists": ["in"]}),
    ("RunChain", {"chain": "main", "vcon": DOCUMENT, "idempotency_key": "key", "wait": 0}),
    ("RunChain", {"chain": "main", "vcon_uuid": VCON, "idempotency_key": "key", "wait": 0}),
    ("GetRun", {"run_id": RUN}),
    ("CancelRun", {"run_id": RUN}),
    ("ListDeadLetters", {"list": "in"}),
    ("ReplayDeadLetters", {"list": "in"}),
    ("EnqueueVcons", {"vcon_uuids": [VCON], "ingress_list": "in"}),
    ("ReadEgress", {"egress_list": "out"}),
    ("AckEgress", {"egress_list": "out", "vcon_uuids": [VCON]}),
    ("ListVcons", {}),
    ("SearchVcons", {"tel": "+15550100"}),
    ("GetVcon", {"vcon_uuid": VCON}),
    ("ListChains", {}),
    ("DeleteVcon", {"vcon_uuid": VCON}),
)
NAMES = [
    *("in", "out", "run:main", "DLQ:in", "DLQ:run:main", "vcons", "tel:+15550100", "name:Ann"),
    *(f"pc:{each}:in" for each in ("attempts", "suspects")),
    *("pc:dead:DLQ:in", "pc:unread:out", "pc:lease:out", keys.idempotency("key")),
    *(f"{each}:{VCON}" for each in ("vcon", "pc:about", "pc:holds", "pc:waiting")),
    *(keys.run(RUN), keys.cancel(RUN), keys.idempotent_digest("key"), *keys.SHARED_TYPES),
]
PASSED_OVER = {"vcons", "tel:+15550100", "name:Ann", keys.LATER, keys.HISTORY, keys.INDEX}
PASSED_OVER.add("pc:expiring")
"""What a vCon can come in, and run, without."""


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """One chain from `in` to `out`, and a vCon that stands in both, with a run that is queued."""
    async with operations(redis_url) as opened:
        opened.configure(configured())
        await opened.take(DOCUMENT, "in")
        opened.client.rpush("out", VCON)
        opened.client.zadd("pc:lease:out", {VCON: 9e15})
        run = '{"run_id":"%s","chain":"main","vcon_in":"%s","vcon_out":"%s","status":"queued"}'
        opened.client.set(keys.run(RUN), run % (RUN, VCON, VCON))
        yield opened


async def ask(ops: Operations, action: str, fields: dict[str, Any]) -> ActionResponse:
    """The answer to one request."""
    nothing: Any = None
    admin: Any = Notebook()
    finder = VconLookup(ops.configuration, VconStore(ops.redis), ops.calls, EXPIRY)
    pipeline = PipelineService(
        ops.configuration,
        ops.internal,
        nothing,
        finder,
        ops.workers.runs(ops.configuration),
        ops.calls,
        ops.workers.queues,
        ops.operations,
        nothing,
        nothing,
        admin,
        nothing,
        nothing,
        nothing,
        without_law(ops.configuration),
        "0.4.0",
    )
    client = SimpleNamespace(
        pipeline=pipeline, service=None, seconds_left=lambda: 10.0, giving_way=nullcontext
    )
    dispatcher = Dispatcher(ACTIONS, run_blocking=nothing)
    return await dispatcher.answer(action, fields, client, None)


@pytest.mark.parametrize("name", NAMES)
async def test_no_action_fails_beside_it(ops: Operations, name: str):
    """What is refused says which key it is; what the other program wrote is left as it was."""
    ops.client.delete(name)
    ops.client.xadd(name, {"another": "program's"})
    answers = [(action, await ask(ops, action, fields)) for action, fields in REQUESTS]
    failed = [(action, each.message) for action, each in answers if each.status_code == 500]
    assert not failed
    refused = [each.message or "" for _, each in answers if " but a " in (each.message or "")]
    assert all(message.startswith(f"{name} is no ") for message in refused)
    assert ops.client.type(name) == "stream"
    if name in PASSED_OVER:
        assert answers[1][1].status_code == 201
