"""A link that asks a vendor, in a chain with a worker."""

from __future__ import annotations

from importlib import import_module

from lib.web.http_client import close
from tests.integration.links.vendor_links_scene import summing_up
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.pipeline_fixtures import Scene, configured, link
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
