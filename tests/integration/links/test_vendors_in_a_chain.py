"""A link that asks a vendor, in a chain with a worker."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lib.web.http_client import close
from tests.integration.links.vendor_links_scene import summing_up
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.pipeline_fixtures import Scene, configured, link, storage
from tests.integration.support.vendors_scene import transcribed


async def test_a_link_gives_up_before_its_chain_is_out_of_time(
    scene: Scene, vendors: StandIn
) -> None:
    """The run says what the vendor answered, and not that time was up."""
    vendors.answers = ["503 Retry-After: 50"]
    options = summing_up(vendors)
    step = link(import_module("links.analyze").run, "summarize", options=options)
    await scene.start(configured(links=[step], timeout=40.0, max_attempts=1))
    document = transcribed()
    await scene.store.put(document)
    await scene.redis.command("RPUSH", "in", document["uuid"])
    ended = await scene.finished()
    assert ended.status == "failed"
    [noted] = ended.run["steps"]
    assert "answered 503" in noted["error"]
    await close()


async def test_each_request_has_the_key_of_its_step(scene: Scene, vendors: StandIn) -> None:
    """A repetition of a request the same, other steps others; a configured header stays."""
    vendors.answers = ["503 Retry-After: 0"]
    analyze, webhook = import_module("links.analyze"), import_module("links.webhook")
    saves = import_module("storage.webhook")
    there = {"webhook-urls": [f"{vendors.base}/hook"], "backoff": 0}
    own = {**there, "headers": {"Idempotency-Key": "ours"}}
    steps = [
        link(analyze.run, "summarize", options=summing_up(vendors)),
        link(webhook.run, "hook", options=there),
        link(webhook.run, "own", options=own),
    ]

    async def save(vcon_uuid: str, _options: Any) -> None:
        await saves.save(vcon_uuid, there)

    await scene.start(configured(links=steps, storages=[storage(save)]))
    document = transcribed()
    await scene.store.put(document)
    await scene.redis.command("RPUSH", "in", document["uuid"])
    assert (await scene.finished()).status == "done"
    keys = [headers["idempotency-key"] for _, headers, _ in vendors.got]
    first, again, hook, ours, stored = keys
    assert first == again
    assert ours == "ours"
    assert len({first, hook, stored}) == 3
    assert all(len(key) == 32 and int(key, 16) for key in (first, hook, stored))
    await close()
