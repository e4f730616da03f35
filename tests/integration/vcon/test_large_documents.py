"""Large vCons are parsed, checked and digested in the helper process, never in the service's."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import pickletools
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from redis import Redis

import core.plugboard.client
import pipeline.ingest.entry
from core.action_registry import ActionRegistry
from core.concurrency.helper_process import HelperProcess
from core.phoenix.frames import Frame
from core.phoenix.large_frames import LARGE, SPLITTERS, Unparsed, read_leniently
from core.phoenix.lenient_json import parsed_bytes
from core.settings import DatabaseSettings
from pipeline.redis_client import document_pieces
from pipeline.redis_client.client import RedisConnection
from tests.integration.support.consumer import Consumer, replica
from tests.integration.support.partner_scene import Apis, opened_apis
from tests.integration.support.pipeline_fixtures import a_vcon
from tests.integration.support.plugboard_scene import plugboard
from tests.unit.support.actions_for_tests import Echo

MOST, LIST, SECRET = 2_000_000, "customer_data", "secret-1"
BODY = "x," * (LARGE // 2)
"""It may hold many values, so a vCon with it is read in the helper."""
ACTIONS = ActionRegistry.discover("actions")
OURS = ("core", "pipeline", "schemas", "actions", "flowlang")


@pytest.fixture
async def helper() -> AsyncIterator[HelperProcess]:
    """One that is closed in the end."""
    process = HelperProcess()
    yield process
    process.close()


@pytest.fixture
async def apis(
    redis: RedisConnection,
    client: Redis,
    database_settings: DatabaseSettings,
    helper: HelperProcess,
) -> AsyncIterator[Apis]:
    """Both APIs, with the helper, and a key to one list."""
    async with opened_apis(redis, client, database_settings, MOST, helper) as opened:
        await asyncio.to_thread(opened.key, SECRET)
        yield opened


@pytest.fixture
def only_in_the_helper(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """No vCon is checked in this process; the size of each JSON text that the service reads."""
    sizes = []

    def watched(read: Any) -> Any:
        def reading(text: Any, *more: Any, **options: Any) -> Any:
            if sys._getframe(1).f_globals["__name__"].split(".")[0] in OURS:
                sizes.append(len(text))
            return read(text, *more, **options)

        return reading

    for module in (orjson, json):
        monkeypatch.setattr(module, "loads", watched(module.loads))
    monkeypatch.setattr(pipeline.ingest.entry, "checked", None)
    for module in (core.plugboard.client, document_pieces):  # which looks at every character
        monkeypatch.setattr(module, "parsed_bytes", watched(parsed_bytes))
    return sizes


def split(text: bytes) -> Frame | None:
    """As a large message is decoded; what cannot be split is read as in the helper."""
    frame = SPLITTERS["2.0.0"](text) or read_leniently(text, "2.0.0")
    assert isinstance(frame, Frame)
    return frame


HOSTILE: list[dict[str, Any]] = [
    {},
    {"meta": [10**30]},
    {"meta": [[float("nan")]]},
    {"meta": float("inf")},
    {"dialog": [{"subject": "\ud800"}]},
    {"a\ud800": 1},
    {"subject": "a\0b"},
    {"uuid": "*"},
    {"parties": "none"},
    {"dialog": [{"parties": [7]}]},
    {"created_at": "tomorrow"},
    {"payload": "e30", "signatures": [{}]},
    {"ciphertext": "AAAA"},
    {"critical": ["unheard-of"]},
    {"attachments": [{"body": "x" * MOST}]},
    {"meta": json.loads("[" * 100 + "]" * 100)},
    {"meta": json.loads("[" * 300 + "]" * 300)},
    {"meta": json.loads("[" * 980 + "]" * 980)},
]


@pytest.mark.parametrize("changes", HOSTILE, ids=lambda changes: str(changes)[:30])
async def test_a_large_vcon_is_answered_as_a_small_one_is(
    apis: Apis, changes: dict[str, Any]
) -> None:
    """At both APIs, with the same code and text for each mistake."""
    vcon = a_vcon(**{"analysis": [], "attachments": [{"body": BODY}], **changes})
    told = []
    for decode in (split, apis.decode):
        apis.decode = decode
        answers = [await apis.push(vcon, SECRET), await apis.ingest(vcon, LIST)]
        told.append([(each.status_code, each.message) for each in answers])
        apis.client.flushdb()
    assert told[0] == told[1]


@pytest.mark.parametrize("vcon", [[BODY], BODY, None, 7, {"vcon": BODY}])
async def test_what_is_no_vcon_is_told_alike(apis: Apis, vcon: object) -> None:
    """The wrong type, or nothing of a vCon, at either door."""
    told = []
    for decode in (split, apis.decode):
        apis.decode = decode
        answers = [await apis.push(vcon, SECRET), await apis.ingest(vcon, LIST, more=BODY)]
        told.append([(each.status_code, each.message) for each in answers])
    assert told[0] == told[1]


@pytest.fixture(params=["1.0.0", "2.0.0"])
async def consumer(
    request: pytest.FixtureRequest, apis: Apis, helper: HelperProcess
) -> AsyncIterator[Consumer]:
    """A client at a board with the actions that take vCons, in either version."""
    options = {"pipeline": apis.pipeline, "offload": helper, "fields_bytes": MOST}
    names = ("IngestVcon", "ExternalIngress")
    known = (Echo, *(ACTIONS[name] for name in names))
    async with (
        plugboard() as scene,
        replica(scene, *known, vsn=request.param, **options) as running,
    ):
        await running.joined()
        yield running


async def answered(consumer: Consumer, action: str, vcon: object, **more: object) -> Any:
    """Status of a request that comes over the socket."""
    given = {"vcon": orjson.Fragment(json.dumps(vcon)), **more}
    answer = await consumer.board.request(consumer.scene.service, action, given)
    return answer["status_code"]


async def test_no_large_text_is_read_in_the_service(
    consumer: Consumer, apis: Apis, only_in_the_helper: list[int]
) -> None:
    """From the socket to Redis: one vCon after the other at both APIs, well and badly formed."""
    good, bad = a_vcon(subject=BODY), a_vcon(subject=BODY, parties="none")
    odd = a_vcon(subject=BODY, meta=[10**30])
    half = a_vcon(subject="\ud800" + BODY)
    excess = a_vcon(subject=BODY * 9)
    larger = a_vcon(subject=BODY * 5)
    key = {"ingress_list": LIST, "api_key": SECRET}
    vcons = (good, bad, odd, half, excess, larger)
    ours = [await answered(consumer, "IngestVcon", each, ingress_lists=[LIST]) for each in vcons]
    theirs = [await answered(consumer, "ExternalIngress", each, **key) for each in vcons]
    assert (ours, theirs) == ([201, 400, 400, 400, 413, 201], [409, 400, 400, 400, 413, 409])
    assert apis.stored(good["uuid"])["subject"] == BODY
    assert apis.stored(larger["uuid"])["subject"] == BODY * 5
    assert max(only_in_the_helper) <= LARGE + 1000


async def test_a_request_counts_with_what_it_takes_up_here(consumer: Consumer) -> None:
    """Its text, unless its action has all of it parsed in this process."""
    text = b'{"a":[' + b"[]," * LARGE + b"[]]}"
    held = consumer.client._held_bytes
    for action in ("IngestVcon", "ExternalIngress", "Unknown", 7):
        assert held(action, Unparsed(text), text) == len(text)
    assert held("Echo", Unparsed(text), text) == parsed_bytes(text)
    assert held("IngestVcon", {}, text) == parsed_bytes(text)


async def test_a_helper_that_is_killed_costs_no_request(
    consumer: Consumer, helper: HelperProcess
) -> None:
    """Each of those under way is answered: read again by the next helper."""
    await answered(consumer, "IngestVcon", a_vcon(subject=BODY))
    requests = [
        asyncio.create_task(answered(consumer, "IngestVcon", a_vcon(subject=BODY)))
        for _ in range(8)
    ]
    await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
    assert helper.pid is not None
    os.kill(helper.pid, signal.SIGKILL)
    assert await asyncio.gather(*requests) == [201] * 8


async def test_while_no_helper_lives_large_vcons_are_503(
    consumer: Consumer, helper: HelperProcess
) -> None:
    """And small ones are taken."""
    helper.close()
    assert await answered(consumer, "IngestVcon", a_vcon(subject=BODY)) == 503
    assert await answered(consumer, "IngestVcon", a_vcon()) == 201


def test_what_the_helper_gives_back_is_quickly_received() -> None:
    """A large vCon comes back in few parts, however many values it holds."""
    text = b'{"x":[' + b"[]," * 200_000 + b"[]]}"
    pieces = document_pieces.pieces_of(text)
    assert pieces is not None
    elements = [piece.texts for piece in pieces.then if piece.command == "JSON.ARRAPPEND"]
    assert sum(map(len, elements)) == 200_001
    assert sum(1 for _ in pickletools.genops(pickle.dumps(pieces))) < 5_000
