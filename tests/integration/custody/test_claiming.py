"""Nothing is claimed from a Redis that recovery has not approved."""

from __future__ import annotations

import pytest

from tests.integration.custody.custody_scene import CustodyScene
from tests.integration.support.pipeline_fixtures import configured


@pytest.mark.parametrize("server", ["", "another process", None])
async def test_a_server_that_is_not_approved(kept: CustodyScene, server: str | None) -> None:
    """A Redis that was emptied, or has the data of another one, is left as it is."""
    vcon_uuid = await kept.accept()
    if server is None:
        kept.client.delete("pc:epoch")
    else:
        kept.client.hset("pc:epoch", "server", server)
    await kept.redis.command("SET", "pc:worker:one", "1")
    claims = await kept.queues.claim("one", 1, ["in"])
    assert claims.unsure
    assert claims.claims == []
    assert kept.elements("in") == [vcon_uuid]


async def test_a_worker_goes_on_once_it_is_approved(
    kept: CustodyScene, caplog: pytest.LogCaptureFixture
) -> None:
    """It says once that it waits."""
    await kept.accept()
    kept.client.delete("pc:epoch")
    await kept.start(configured())
    await kept.logged(caplog, "no claims until Redis is recovered")
    kept.approve()
    assert (await kept.finished()).status == "done"
    assert caplog.text.count("no claims until Redis is recovered") == 1


async def test_a_claim_has_its_rows(kept: CustodyScene) -> None:
    """Of its place and of Redis itself, and the generation of the server."""
    kept.approve(7)
    vcon_uuid = await kept.accept(lists=())
    await kept.intake.enqueue([vcon_uuid, vcon_uuid], "in")
    claim = await kept.claimed()
    about = kept.about(vcon_uuid)
    assert claim.refs == about["in"]
    assert len(claim.refs.split()) == 2
    assert claim.refs_in_redis == about[""]
    assert claim.generation == "7"


async def test_a_requested_run_has_its_row(kept: CustodyScene) -> None:
    """The place is that of the run."""
    vcon_uuid = await kept.accept(lists=())
    run_id = "019aa000-0000-7000-8000-000000000001"
    await kept.intake.enqueue_run(vcon_uuid, run_id, "main", b"{}")
    claim = await kept.claimed(name="run:main")
    assert claim.refs == kept.about(vcon_uuid)[f"run:main|{run_id}"]
