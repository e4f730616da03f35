"""The link `datatrails` against a service that enforces the rules of the API."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from core.errors import ConfigurationError
from links import datatrails as link_module
from links.datatrails import VendorError, close, run
from pipeline.config.parser import parse
from pipeline.plugins.loader import load
from pipeline.runs.vcon_store import VconStore
from tests.canaries import canary
from tests.integration.support.pipeline_fixtures import Scene, configured, link
from tests.integration.support.vendors.datatrails import CLIENT, SECRET, DataTrails, datatrails
from tests.plugins.scene import TAGGED, canonical

VCON = canonical(TAGGED)
UUID = VCON["uuid"]
QUICK = {"backoff": 0.001}
WRONG = canary("wrong-secret-of-the-client-413c")


@pytest.fixture
def service() -> Iterator[DataTrails]:
    """A service without any record."""
    with datatrails() as found:
        yield found


@pytest.fixture(autouse=True)
async def _kept(store: VconStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store has one vCon, and no day ends."""
    day = link_module.today()
    monkeypatch.setattr(link_module, "today", lambda: day)
    await store.put(VCON)


def options(service: DataTrails, **changes: Any) -> dict[str, Any]:
    """Options with pauses that need no waiting."""
    return {**service.options, **QUICK, "vcon_operation": "vcon_enhanced", **changes}


async def test_a_vcon_is_recorded_with_its_hash(service: DataTrails) -> None:
    """On the asset of the day, and without an asset; the vCon stays as it is."""
    given = options(service, partner_id="us", asset_attributes={"arc_display_type": "a"})
    assert await run(UUID, "a_link", given) == UUID
    [asset], [event], [free] = service.assets, service.events, service.free_events
    assert asset["attributes"]["arc_display_type"] == "a"
    assert asset["attributes"]["droid_id"] == link_module.today()
    assert event["asset_identity"] == asset["identity"]
    attributes = event["event_attributes"]
    assert attributes == free["attributes"]
    assert attributes == {
        "arc_display_type": "vcon_enhanced",
        "arc_event_type": "vcon_enhanced",
        "conserver_link": "DataTrails",
        "conserver_link_name": "a_link",
        "conserver_link_version": "0.3.0",
        "payload": hashlib.sha256(json.dumps(VCON).encode()).hexdigest(),
        "payload_hash_alg": "SHA-256",
        "payload_preimage_content_type": "application/vcon+json",
        "subject": f"vcon://{UUID}",
        "timestamp_declared": VCON["created_at"],
        "vcon_draft_version": "01",
        "vcon_operation": "vcon_enhanced",
    }
    assert free["trails"] == [f"vcon://{UUID}"]
    assert {headers["datatrails-partner-id"] for _, headers, _ in service.got[1:]} == {"us"}


@pytest.mark.parametrize("name", ["created", "VCON_created", "vcon-created"])
async def test_an_operation_has_its_prefix_once(name: str, service: DataTrails) -> None:
    """However it is written."""
    await run(UUID, "a_link", options(service, vcon_operation=name))
    assert service.events[0]["event_attributes"]["vcon_operation"] == "vcon_created"


async def test_a_second_run_records_nothing_more(service: DataTrails, store: VconStore) -> None:
    """Unless the vCon has changed; `vcon_created` not even then."""
    for operation in ("vcon_created", "vcon_enhanced") * 2:
        await run(UUID, "a_link", options(service, vcon_operation=operation))
    assert service.counts() == (1, 2, 2)
    await store.put(VCON | {"subject": "Changed"})
    for operation in ("vcon_created", "vcon_enhanced") * 2:
        await run(UUID, "a_link", options(service, vcon_operation=operation))
    assert service.counts() == (1, 3, 3)
    given = options(service, vcon_operation="vcon_created", again_if_changed=True)
    await run(UUID, "a_link", given | {"asset_free_events": False})
    assert service.counts() == (1, 4, 3)
    assert service.issued == 1


async def test_a_lost_answer_makes_no_second_event(service: DataTrails) -> None:
    """A repeat of the run finds the first one."""
    service.lost = 1
    with pytest.raises(VendorError, match="DataTrails answered 503"):
        await run(UUID, "a_link", options(service, retries=0))
    await run(UUID, "a_link", options(service))
    assert service.counts() == (1, 1, 1)


async def test_a_request_is_not_repeated_whose_record_is_there(service: DataTrails) -> None:
    """The answers to the asset, the event and the event without an asset are lost."""
    service.lost = 3
    await run(UUID, "a_link", options(service))
    assert service.counts() == (1, 1, 1)
    assert service.lost == 0


async def test_many_events_of_a_vcon_are_looked_through(service: DataTrails) -> None:
    """They come in pages."""
    await run(UUID, "a_link", options(service))
    others = [{"identity": "events/x", "attributes": {}, "trails": [f"vcon://{UUID}"]}] * 120
    service.free_events[:0] = others
    await run(UUID, "a_link", options(service))
    assert len(service.free_events) == 121


async def test_workers_share_the_asset_of_a_day(
    service: DataTrails, store: VconStore, redis_url: str
) -> None:
    """It is created once, also when they need it at the same time or have forgotten it."""
    uuids = [f"{number:08}-0000-8000-8000-000000000000" for number in range(8)]
    for each in uuids:
        await store.put(VCON | {"uuid": each})
    await asyncio.gather(*[run(each, "a_link", options(service)) for each in uuids])
    assert service.counts() == (1, 8, 8)
    with Redis.from_url(redis_url) as client:
        [key] = client.keys("pc:asset:*")
        assert 0 < client.ttl(key) <= 2 * 86_400
        client.delete(key)
    await run(UUID, "a_link", options(service))
    assert len(service.assets) == 1


async def test_a_failure_leaves_the_asset_to_the_next(service: DataTrails, redis_url: str) -> None:
    """And an asset that is gone is created again with the next run."""
    service.answers = ["ok", "ok", "ok", "400"]
    with pytest.raises(VendorError, match="DataTrails answered 400"):
        await run(UUID, "a_link", options(service))
    await run(UUID, "a_link", options(service))
    assert len(service.assets) == 1
    service.assets.clear()
    service.events.clear()
    with pytest.raises(VendorError, match="does not have the asset of"):
        await run(UUID, "a_link", options(service))
    await run(UUID, "a_link", options(service))
    assert service.counts() == (1, 1, 1)


async def test_a_refused_token_is_replaced_once(service: DataTrails) -> None:
    """Another refusal is an error, without the token or the secret."""
    await run(UUID, "a_link", options(service))
    service.tokens.clear()
    await run(UUID, "a_link", options(service))
    assert service.issued == 2
    service.tokens.clear()
    service.answers = ["401", "ok", "401"]
    with pytest.raises(VendorError, match=f"^DataTrails answered 401 to the client {CLIENT}$"):
        await run(UUID, "a_link", options(service))


async def test_wrong_credentials_are_named_without_the_secret(service: DataTrails) -> None:
    """The token endpoint refuses them, and nothing else is asked."""
    given = options(service)
    given["auth"] = {**given["auth"], "client_secret": WRONG}
    with pytest.raises(VendorError, match=r"the token endpoint of DataTrails answered 401$"):
        await run(UUID, "a_link", given)
    assert len(service.got) == 1


async def test_seconds_of_a_token_may_be_a_text(service: DataTrails) -> None:
    """As Microsoft's older endpoints send them."""
    service.expires_in = "3599"
    await run(UUID, "a_link", options(service))
    assert service.issued == 1


@pytest.mark.parametrize("seconds", ["soon", None, "", "-1", "9" * 5000, "\u0663"])
async def test_a_token_without_an_end_is_refused(seconds: Any, service: DataTrails) -> None:
    """Or with one that is no number."""
    service.expires_in = seconds
    with pytest.raises(VendorError, match="answered without a token"):
        await run(UUID, "a_link", options(service))


@pytest.mark.parametrize("fault", ["503 Retry-After: 0", "429", "drop"])
async def test_a_passing_fault_is_repeated(fault: str, service: DataTrails) -> None:
    """Whichever request it meets."""
    service.answers = [fault, "ok", fault, "ok", fault]
    await run(UUID, "a_link", options(service))
    assert service.counts() == (1, 1, 1)


async def test_events_without_an_asset_are_a_preview(
    service: DataTrails, caplog: pytest.LogCaptureFixture
) -> None:
    """Their failure is logged, and the chain goes on."""
    service.answers = ["ok"] * 5 + ["404"]
    assert await run(UUID, "a_link", options(service)) == UUID
    assert service.counts() == (1, 1, 0)
    [line] = [each for each in caplog.records if "without an asset" in each.message]
    assert vars(line)["error"] == "DataTrails answered 404"


async def test_a_missing_vcon_ends_the_chain(service: DataTrails) -> None:
    """And nothing is asked."""
    missing = "00000000-0000-8000-8000-000000000000"
    assert await run(missing, "a_link", options(service)) is None
    assert service.got == []


async def test_credentials_may_come_from_the_environment(
    service: DataTrails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the address of tokens from `auth_url`."""
    monkeypatch.setenv("DATATRAILS_CLIENT_ID", CLIENT)
    monkeypatch.setenv("DATATRAILS_CLIENT_SECRET", SECRET)
    given = {"api_url": service.url, "auth_url": f"{service.url}/iam/v1/appidp/token", **QUICK}
    assert await run(UUID, "a_link", given) == UUID
    assert service.events[0]["event_attributes"]["vcon_operation"] == "vcon_vcon"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"auth": {"client_id": CLIENT}}, "set auth.client_id and auth.client_secret"),
        ({"auth": None}, "set auth.client_id and auth.client_secret"),
        ({"auth": {"type": "basic"}}, "only oidc-client-credentials is supported"),
        ({"api_url": "app.datatrails.ai"}, "must be a URL that begins with"),
        ({"api_url": ""}, "at least 1 character"),
        ({"vcon_operation": ""}, "at least 1 character"),
    ],
)
def test_wrong_options_are_reported_at_the_start(changes: dict[str, Any], text: str) -> None:
    """With the place in the file."""
    given = {"auth": {"client_id": CLIENT, "client_secret": SECRET}, **changes}
    links = {"it": {"module": "links.datatrails", "options": given}}
    with pytest.raises(ConfigurationError, match=text):
        load(parse({"links": links, "chains": {"c": {"links": ["it"]}}}, {}))


async def test_a_run_records_through_the_worker(scene: Scene, service: DataTrails) -> None:
    """The whole way."""
    await scene.start(configured(links=[link(link_module.run, "trail", options=options(service))]))
    await scene.store.put(VCON)
    await scene.redis.command("RPUSH", "in", UUID)
    assert (await scene.finished()).status == "done"
    assert service.counts() == (1, 1, 1)
    await close()
