"""The JLINC tracer, with a server that answers as JLINC does."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from lib.web.http_retry import VendorError
from pipeline.runs.vcon_store import VconStore
from tests.canaries import canary
from tests.integration.support.http_stand_in import StandIn
from tests.integration.support.vendors_scene import FAULTS, QUICK, SHORT
from tests.plugins.scene import TAGGED, canonical
from tracers import jlinc

VCON = canonical(TAGGED)
UUID = VCON["uuid"]
API = "/api/v1/data"
KEY, ARCHIVE_KEY = canary("key-of-the-data-store-9fe7"), canary("key-of-the-archive-e204")
LINKS = ["First Link", "second"]
SYSTEM, FIRST, SECOND = (
    f"vcontest-{name}@jlinc.example" for name in ("system", "first_link", "second")
)


@pytest.fixture
def options(vendors: StandIn, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options for a server without entities, which creates requested ones."""
    made: set[str] = set()

    def find(body: bytes) -> dict[str, Any]:
        return {"didDoc": {}} if json.loads(body)["shortName"] in made else {}

    def create(body: bytes) -> dict[str, Any]:
        made.add(json.loads(body)["shortName"])
        return {"didDoc": {"id": "did:jlinc:x"}}

    vendors.replies = {
        f"{API}/entity/domains/get": ["jlinc.example", "other.example"],
        f"{API}/entity/get": find,
        f"{API}/entity/create": create,
        f"{API}/event/produce": {"created": {"eventId": "e"}},
    }
    monkeypatch.setattr(jlinc, "_domains", {})
    monkeypatch.setattr(jlinc, "_known", set())
    keys = {"data_store_api_key": KEY, "archive_api_key": ARCHIVE_KEY}
    where = {"data_store_api_url": vendors.base, "archive_api_url": "http://archive.example:1"}
    return {**keys, **where, **QUICK}


@pytest.fixture(autouse=True)
async def _kept(store: VconStore) -> None:
    """The store has one vCon."""
    await store.put(VCON)


async def trace(options: dict[str, Any], index: int, before: str = UUID) -> bool:
    """Tell of one step, as the service does."""
    return await jlinc.run(before, UUID, "jlinc", LINKS, index, options)


async def test_each_step_goes_from_one_entity_to_the_next(
    vendors: StandIn, options: dict[str, Any]
) -> None:
    """From the system to the first link, on to the second, and back to the system."""
    for index in (-1, 0, 1):
        assert await trace(options, index)
    events = vendors.asked(f"{API}/event/produce")
    ends = [(each["senderShortName"], each["recipientShortName"]) for each in events]
    assert ends == [(SYSTEM, FIRST), (FIRST, SECOND), (SECOND, SYSTEM)]


async def test_an_event_is_what_jlinc_takes(vendors: StandIn, options: dict[str, Any]) -> None:
    """With the hash of the vCon, both uuids, and where the archive is."""
    await trace(options, -1, before="another")
    [event] = vendors.asked(f"{API}/event/produce")
    assert event == {
        "type": "data",
        "senderShortName": SYSTEM,
        "recipientShortName": FIRST,
        "agreementId": "00000000-0000-0000-0000-000000000000",
        "data": {"hash": hashlib.sha256(json.dumps(VCON).encode()).hexdigest()},
        "meta": {"in_vcon_uuid": "another", "out_vcon_uuid": UUID},
        "archive": {"url": "http://archive.example:1", "key": ARCHIVE_KEY},
    }
    assert {headers["authorization"] for _, headers, _ in vendors.got} == {f"Bearer {KEY}"}


async def test_the_vcon_itself_goes_along_where_that_is_wanted(
    vendors: StandIn, options: dict[str, Any]
) -> None:
    """With `hash_event_data` off."""
    await trace(options | {"hash_event_data": False}, 0)
    [event] = vendors.asked(f"{API}/event/produce")
    assert event["data"] == VCON


async def test_entities_are_made_once(vendors: StandIn, options: dict[str, Any]) -> None:
    """What the server has said it has is not asked for again."""
    for index in (-1, 0, 1, -1, 0, 1):
        await trace(options, index)
    made = [each["shortName"] for each in vendors.asked(f"{API}/entity/create")]
    assert made == [SYSTEM, FIRST, SECOND]
    assert len(vendors.asked(f"{API}/entity/get")) == 3
    assert len(vendors.asked(f"{API}/entity/domains/get")) == 1


async def test_a_server_that_lost_its_entities_gets_them_again(
    vendors: StandIn, options: dict[str, Any]
) -> None:
    """A refused event is reason to ask anew."""
    await trace(options, -1)
    vendors.answers = ["400"]
    with pytest.raises(VendorError):
        await trace(options, -1)
    await trace(options, -1)
    assert len(vendors.asked(f"{API}/entity/get")) == 4


async def test_other_options_are_another_server(vendors: StandIn, options: dict[str, Any]) -> None:
    """What one server has said is not held against the next."""
    await trace(options, -1)
    await trace(options | {"data_store_api_key": "another key"}, -1)
    assert len(vendors.asked(f"{API}/entity/domains/get")) == 2


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_may_pass_is_asked_again(
    vendors: StandIn, options: dict[str, Any], fault: str
) -> None:
    """And the event is made."""
    await trace(options, -1)
    vendors.answers = [fault]
    assert await trace(options | (SHORT if fault == "hang" else {}), -1)
    assert len(vendors.asked(f"{API}/event/produce")) >= 3


@pytest.mark.parametrize(
    ("path", "reply", "words"),
    [
        ("entity/domains/get", [], "no domain"),
        ("entity/create", {}, f"did not create the entity {SYSTEM}"),
        ("event/produce", {"error": "no"}, "without the id of the event"),
    ],
)
async def test_what_is_not_done_is_an_error(
    vendors: StandIn, options: dict[str, Any], path: str, reply: Any, words: str
) -> None:
    """So that `dlq_vcon_on_error` has an effect."""
    vendors.replies[f"{API}/{path}"] = reply
    with pytest.raises(VendorError, match=words):
        await trace(options, -1)


async def test_a_refusal_is_an_error_without_keys(
    vendors: StandIn, options: dict[str, Any]
) -> None:
    """Which is told by its status."""
    vendors.answers = ["403"]
    with pytest.raises(VendorError, match=r"^JLINC answered 403$"):
        await trace(options, -1)


async def test_a_vcon_that_is_not_there_is_an_error(options: dict[str, Any]) -> None:
    """There is nothing to tell of."""
    with pytest.raises(LookupError):
        await jlinc.run(UUID, "00000000-0000-8000-8000-000000000000", "j", LINKS, 0, options)
