"""The law of a vCon in Redis: what is read for a decision, in every form that Redis may have it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from lib.vcon_redis import AsyncVconRedis
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.withheld.evaluating import Evaluation
from tests.integration.law.release_scene import LawScene, basis, law_scene
from tests.integration.media.media_scene import LEAST, beside
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.fixture
async def law(redis_url: str) -> AsyncIterator[LawScene]:
    """An empty Redis."""
    async with law_scene(redis_url) as opened:
        opened.configure("first")
        yield opened


def put(law: LawScene, **changes: Any) -> str:
    """A vCon in Redis, as another program writes it."""
    vcon_uuid = new_uuid()
    text = orjson.dumps(a_vcon(vcon_uuid, **changes))
    law.ops.client.execute_command("JSON.SET", keys.vcon(vcon_uuid), ".", text)
    return vcon_uuid


async def told(law: LawScene, vcon_uuid: str) -> str | None:
    """The error of the decision; None if it allows."""
    return (await law.evaluation.decision(vcon_uuid, "first")).error


async def test_a_vcon_that_is_not_there_reaches_no_plugin(law: LawScene) -> None:
    """A storage that has it might be read instead: so the attempt fails, and is repeated."""
    law.ops.client.rpush("in", vcon_uuid := new_uuid())
    [ended] = await law.ops.work()
    assert (ended.status, set(law.called())) == ("failed", {"trace -1"})
    assert law.ops.list("DLQ:in") == [vcon_uuid]


@pytest.mark.parametrize("sealed", [{"payload": "e30", "signatures": []}, {"ciphertext": "x"}])
async def test_nothing_beside_an_envelope_counts(law: LawScene, sealed: dict[str, Any]) -> None:
    """A basis beside the payload is not signed, and what is inside is not known."""
    vcon_uuid = put(law, attachments=[basis("first")], **sealed)
    assert await told(law, vcon_uuid) == "LawfulBasisMissingError"


async def test_other_forms_of_documents(law: LawScene) -> None:
    """A plain string is read as JSON; members that are missing or something else grant nothing."""
    vcon_uuid = put(law)
    text = orjson.dumps(a_vcon(vcon_uuid, attachments=[basis("first")]))
    law.ops.client.delete(keys.vcon(vcon_uuid))
    law.ops.client.set(keys.vcon(vcon_uuid), text)
    assert await told(law, vcon_uuid) is None
    odd = [{"attachments": None}, {"attachments": {"0": basis("first")}}, {"parties": "all"}]
    for changes in (*odd, {"dialog": 7}):
        assert await told(law, put(law, **changes)) == "LawfulBasisMissingError"


async def test_large_attachments(law: LawScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are parsed and evaluated in a thread, with the same result."""
    monkeypatch.setattr("pipeline.withheld.evaluating.LARGE", 10)
    assert await told(law, put(law, attachments=[basis("first")])) is None
    denied = put(law, attachments=[basis("first"), basis("first", granted=False)])
    assert await told(law, denied) == "PermissionDeniedError"


async def test_a_denial_in_the_media_store(law: LawScene) -> None:
    """A basis of many proofs may be as large as a recording."""
    async with beside("redis", law.ops.redis):
        denial = basis("first", granted=False)
        denial["body"]["metadata"] = {"text": "x" * LEAST}
        denial["body"] = orjson.dumps(denial["body"]).decode()
        vcon_uuid = await law.ops.ingest(attachments=[denial])
        stored = law.ops.client.execute_command("JSON.GET", keys.vcon(vcon_uuid))
        assert len(stored) < LEAST
        evaluation = Evaluation(law.ops.redis, law.ops.configuration, law.recorded)
        found = await evaluation.decision(vcon_uuid, "first")
        assert found.error == "PermissionDeniedError"


async def test_what_a_link_has_written_counts_before_it_is_in_redis(law: LawScene) -> None:
    """A link that uses `lib` alone leaves the vCon in memory; the next one is asked for with it."""

    async def grants(vcon_uuid: str, name: str, _options: object) -> str:
        law.calls.append(name)
        if name == "first":
            found = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
            assert found is not None
            found["attachments"] = [basis("second", granted=False)]
            await AsyncVconRedis().store_vcon_dict(found)
        return vcon_uuid

    law._link = grants  # type: ignore[method-assign]
    law.configure("second")
    now = law.ops.configuration
    chain = replace(now.config.chains["main"], tracers=())  # a tracer needs the vCon in Redis
    config = replace(now.config, chains={"main": chain})
    alone = {spec: replace(each, only_through_lib=True) for spec, each in now.plugins.links.items()}
    law.ops.configure(Configuration(config, replace(now.plugins, links=alone)))
    law.recorded.add("second", granted=True)
    await law.run()
    assert "second" not in law.called()
    [found] = (await law.page()).vcons
    assert found.law == "PermissionDeniedError"
