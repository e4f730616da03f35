"""The storage that hands vCons to receivers on the web."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lib import vcon_egress_compat
from pipeline.runs.vcon_store import VconStore
from storage import webhook
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.integration.support.vendors_scene import FAULTS, QUICK, SHORT
from tests.plugins.scene import TAGGED, canonical

VCON = canonical(TAGGED)
UUID = VCON["uuid"]


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    """A receiver for the whole file."""
    with stand_in(StandIn()) as receiver:
        yield receiver


@pytest.fixture
def receiver(server: StandIn) -> StandIn:
    """The receiver, which has got nothing yet."""
    server.reset()
    return server


@pytest.fixture(autouse=True)
async def _kept(store: VconStore) -> None:
    """The store has one vCon."""
    await store.put(VCON)


async def test_all_receivers_get_the_whole_vcon(receiver: StandIn) -> None:
    """As JSON with the configured headers, even if one fails; that one is an error."""
    urls = [f"{receiver.base}/{number}" for number in range(2)]
    receiver.answers = ["400"]
    with pytest.raises(webhook.DeliveryError, match=r"^127\.0\.0\.1 answered 400$"):
        await webhook.save(UUID, {"webhook-urls": urls, "headers": {"X-Key": "k"}})
    assert sorted(path for path, _, _ in receiver.got) == ["/0", "/1"]
    assert [json.loads(body) for _, _, body in receiver.got] == [VCON, VCON]
    assert {headers["x-key"] for _, headers, _ in receiver.got} == {"k"}


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in ("cut", "half")])
async def test_what_may_pass_is_sent_again(receiver: StandIn, fault: str) -> None:
    """Until the receiver has it."""
    receiver.answers = [fault]
    changes = SHORT if fault == "hang" else {}
    await webhook.save(UUID, {"webhook-urls": receiver.base, **QUICK, **changes})
    assert len(receiver.got) >= 2


async def test_old_receivers_get_the_old_form(
    receiver: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With EGRESS_FORMAT_VERSION=0.0.1."""
    monkeypatch.setattr(vcon_egress_compat, "_version", "0.0.1")
    await webhook.save(UUID, {"webhook-urls": receiver.base})
    assert json.loads(receiver.got[0][2])["vcon"] == "0.0.1"


async def test_a_vcon_that_is_not_in_redis_is_an_error(receiver: StandIn) -> None:
    """Nothing is sent."""
    with pytest.raises(LookupError):
        await webhook.save("00000000-0000-8000-8000-000000000000", {"webhook-urls": receiver.base})
    assert receiver.got == []
