"""Withheld vCons over the command line, the actions and the metrics."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from actions.list_withheld import ListWithheld
from actions.release_withheld import ReleaseWithheld
from core.errors import ConflictError
from core.observability.metrics import LAW_REFUSALS, REGISTRY
from pipeline.admin.queue_depths import QueueDepths
from pipeline.redis_client import keys
from tests.integration.law.release_scene import basis, law_scene
from tests.integration.support.operator_scene import OperatorScene, operator
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid

__all__ = ["operator"]
CONFIG = """
law: {basis: {}}
links:
  transcribe: {module: links.tag, options: {tags: [seen]}, requires: {purpose: transcription}}
chains:
  main: {links: [transcribe], ingress_lists: [in]}
"""
LIST = keys.withheld("in")


@pytest.fixture
def withheld(operator: OperatorScene) -> str:
    """A vCon that a worker has withheld."""
    operator.config.write_text(CONFIG)
    vcon_uuid, redis = new_uuid(), operator.redis
    redis.execute_command("JSON.SET", keys.vcon(vcon_uuid), ".", orjson.dumps(a_vcon(vcon_uuid)))
    reason = {"error": "LawfulBasisMissingError: purpose transcription", "run_id": "gone"}
    reason |= {"law": "LawfulBasisMissingError", "purpose": "transcription", "kind": "link"}
    reason |= {"step": "transcribe", "chain": "main", "list_name": "in", "place": "attachments"}
    redis.rpush(LIST, vcon_uuid)
    redis.hset(keys.reasons(LIST), vcon_uuid, orjson.dumps(reason))
    redis.sadd(keys.holds(vcon_uuid), LIST)
    return vcon_uuid


async def test_the_command_line(operator: OperatorScene, withheld: str) -> None:
    """A refused release has exit code 4 and says why; a release is audited."""
    shown = await operator.cli("withheld")
    assert shown.code == 0
    for text in (
        withheld,
        "link transcribe",
        "transcription",
        "LawfulBasisMissingError",
        "1 of in",
    ):
        assert text in shown.out
    release = f"release --uuid {withheld} --yes --reason 'has agreed'"
    story: Any = await operator.perform("timeline", vcon_uuid=withheld)
    assert (story.state, story.command) == ("withheld", "withheld")
    assert story.summary.startswith("The law withholds it before transcribe: LawfulBasisMissing")
    refused = await operator.cli(release)
    assert refused.code == 4
    assert "still withheld" in refused.err
    assert "LawfulBasisMissingError" in refused.err
    granted = orjson.dumps([basis("transcription")])
    operator.redis.execute_command("JSON.SET", keys.vcon(withheld), ".attachments", granted)
    done = await operator.cli(release)
    assert done.code == 0, done.err
    assert operator.redis.lrange("in", 0, -1) == [withheld]
    events: Any = await operator.perform("audit", limit=1)
    assert (events.events[0].action, events.events[0].target) == ("release", f"vcon:{withheld}")
    assert (await operator.cli("withheld")).out == "no vCon is withheld\n"


async def test_the_actions(operator: OperatorScene, withheld: str) -> None:
    """They call the same operations; what is still withheld is a conflict."""
    async with operator.api() as api:
        client: Any = SimpleNamespace(service=None, pipeline=SimpleNamespace(operator=api))
        listed = await ListWithheld(list="in").run(client, None)
        [found] = listed.fields["vcons"]
        assert (found["vcon_uuid"], found["purpose"]) == (withheld, "transcription")
        with pytest.raises(ConflictError, match="still withheld"):
            await ReleaseWithheld(vcon_uuids=[withheld], reason="asked").run(client, None)


async def test_the_metrics(redis_url: str) -> None:
    """How many are withheld by list, and how often by purpose and error."""
    labels = {"chain": "main", "purpose": "second", "error": "LawfulBasisMissingError"}
    before = LAW_REFUSALS.labels(**labels)._value.get()
    async with law_scene(redis_url) as law:
        law.configure("second")
        await law.run()
        await QueueDepths(law.ops.redis, law.ops.configuration).look()
    gauge = REGISTRY.get_sample_value("patchcord_vcons_withheld", {"list": "in"})
    assert (gauge, LAW_REFUSALS.labels(**labels)._value.get() - before) == (1, 1)
