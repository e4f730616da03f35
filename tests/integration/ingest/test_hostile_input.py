"""What the author of a vCon or a request may try, at both APIs; see docs/security.md."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from redis import Redis

from core.action_response import ActionResponse
from core.phoenix.frames import Malformed, decode_v2
from core.settings import DatabaseSettings
from pipeline.redis_client.client import RedisConnection
from tests.emptying import empty
from tests.integration.support.partner_scene import Apis, opened_apis
from tests.integration.support.pipeline_fixtures import a_vcon

MOST_BYTES = 8_000_000
LIST, SECRET = "customer_data", "secret-1"
PARTIES = 100_000


@pytest.fixture
async def apis(
    redis: RedisConnection, client: Redis, database_settings: DatabaseSettings
) -> AsyncIterator[Apis]:
    """Both APIs with the limit of a fresh installation, and a key to one list."""
    async with opened_apis(redis, client, database_settings, MOST_BYTES) as opened:
        await asyncio.to_thread(opened.key, SECRET)
        yield opened


async def at_both(apis: Apis, vcon: object) -> tuple[int, str]:
    """Code and words of the refusal, the same at both APIs, and nothing is left of it."""
    answers = [await apis.push(vcon, SECRET), await apis.ingest(vcon, LIST)]
    [(code, words)] = {(answer.status_code, answer.message) for answer in answers}
    assert apis.client.keys("*") == []
    return code, words


def nested(depth: int) -> object:
    """Lists inside one another."""
    value: object = "x"
    for _ in range(depth):
        value = [value]
    return value


async def test_an_oversized_vcon(apis: Apis) -> None:
    """413 with both sizes."""
    code, words = await at_both(apis, a_vcon(subject="x" * MOST_BYTES))
    assert code == 413
    assert re.search(r"is 8\d{6} bytes; at most 8000000 are taken", words)


@pytest.mark.parametrize("vcon", ["{}", "", [], 7, None])
async def test_a_value_that_is_no_object(apis: Apis, vcon: object) -> None:
    """400 with the accepted forms; text is accepted only as gzip in base64."""
    expected = "vcon: expected an object, or gzip of one as base64"
    assert await at_both(apis, vcon) == (400, expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"meta": nested(200)}, "nested more than 64 levels deep"),
        ({"meta": float("nan")}, "meta"),
        ({"meta": float("inf")}, "meta"),
        ({"meta": 10**400}, "meta"),
        ({"subject": "a\0b"}, "subject"),
        ({"a\0b": 1}, "NUL"),
        ({"subject": "\ud800"}, "subject"),
        ({"uuid": "../../etc/passwd"}, "uuid: a UUID is needed"),
        ({"uuid": "01928e10-0000-8000-8000-000000000001/.."}, "uuid: a UUID is needed"),
        ({"uuid": "*"}, "uuid: a UUID is needed"),
        ({"dialog": [{"parties": [7]}]}, "dialog[0].parties"),
        ({"dialog": [{"parties": [-1]}]}, "dialog[0].parties"),
        ({"parties": "nobody"}, "parties: expected a list"),
        ({"created_at": "tomorrow"}, "created_at"),
        ({"payload": "e30", "signatures": [{}]}, "signed or encrypted"),
        ({"ciphertext": "AAAA"}, "signed or encrypted"),
    ],
)
async def test_what_could_not_be_kept(apis: Apis, changes: dict[str, Any], words: str) -> None:
    """400 that says where."""
    code, told = await at_both(apis, a_vcon(**changes))
    assert code == 400
    assert words in told


async def test_any_finite_number_is_kept(apis: Apis) -> None:
    """The largest and the smallest double, a double beyond 64 bits, the longest integers."""
    numbers = [1e308, -1.7976931348623157e308, 1.8e19, 5e-324, 2**64 - 1, -(2**63)]
    vcon = a_vcon(meta={"numbers": numbers})
    assert (await apis.ingest(vcon, LIST)).status_code == 201
    assert apis.stored(vcon["uuid"])["meta"] == {"numbers": numbers}
    empty(apis.client)


async def test_a_hundred_thousand_parties(apis: Apis) -> None:
    """Taken as long as it is not too large; the first 200 find it, and that is told."""
    parties = [{"tel": f"+1{number:010}"} for number in range(PARTIES)]
    vcon = a_vcon(parties=parties)
    answer = await apis.ingest(vcon, LIST)
    assert answer.status_code == 201
    assert f"{PARTIES} search terms, of which the first 200 are indexed" in str(answer.fields)
    assert len(apis.stored(vcon["uuid"])["parties"]) == PARTIES
    found = [apis.client.smembers(f"tel:{party['tel']}") for party in parties[:201]]
    assert found == [{vcon["uuid"]}] * 200 + [set()]
    empty(apis.client)  # what is left is searched for secrets, key by key


async def test_all_of_many_mistakes_are_told_in_few_words(apis: Apis) -> None:
    """The first hundred, and how many more."""
    _, words = await at_both(apis, a_vcon(parties=[7] * PARTIES))
    assert "parties[99]: expected an object" in words
    assert words.endswith("and at least 900 more")


@pytest.mark.parametrize("name", ["DLQ:customer_data", "vcons", "pc:workers", "vcon:x", "tel:1"])
async def test_a_list_that_is_a_key_of_ours(apis: Apis, name: str) -> None:
    """No door writes to it, and the partners' does not say whether it exists."""
    ours, theirs = await apis.ingest(a_vcon(), name), await apis.push(a_vcon(), SECRET, name)
    assert (ours.status_code, theirs.status_code) == (404, 403)
    assert theirs.message == f"Invalid API Key for ingress list '{name}'"
    assert apis.client.keys("*") == []


@pytest.mark.parametrize("name", ["{0.__class__}", "%s%n", "${TOKEN}", "main\r\nX: y", "../main"])
async def test_a_name_with_a_format_string(apis: Apis, name: str) -> None:
    """Comes back as the text it is."""
    answer = await apis.ingest(a_vcon(), name)
    assert answer.status_code == 404
    assert answer.message.startswith(f"Unknown ingress list: {name}; known: ")


async def test_a_key_that_is_there_twice(apis: Apis) -> None:
    """The last one counts, as in JSON readers everywhere: it is that which is checked and kept."""
    text = orjson.dumps(a_vcon()).decode()
    vcon = orjson.loads(f'{{"uuid": "../..", "subject": "first", {text[1:-1]}, "subject": "last"}}')
    assert (await apis.ingest(vcon, LIST)).status_code == 201
    assert apis.stored(vcon["uuid"])["subject"] == "last"


@pytest.mark.parametrize(
    "frame",
    [
        b'["1","2","service","request",{"action":"\xff"}]',
        b'["1","2","service","request",{"action":"\xed\xa0\x80"}]',
        b'["1","2","service","request",{"fields":' + b"[" * 100_000,
    ],
)
def test_a_frame_that_is_no_text_or_no_json(frame: bytes) -> None:
    """Is dropped whole; nothing of it is guessed."""
    assert isinstance(decode_v2(frame), Malformed)


async def test_fields_that_are_no_vcon_at_all(apis: Apis) -> None:
    """400 in words at both APIs."""
    for vcon in (None, [], "x", 7, True, {}):
        answers = [await apis.push(vcon, SECRET), await apis.ingest(vcon, LIST)]
        assert [answer.status_code for answer in answers] == [400, 400]
        assert all(isinstance(answer.message, str) and answer.message for answer in answers)
    assert apis.client.keys("*") == []


async def test_a_partner_who_gets_the_fields_wrong(apis: Apis) -> None:
    """Unknown and missing fields are named; a key in the wrong place is not repeated."""
    wrong: list[ActionResponse] = [
        await apis.push(a_vcon(), 7),
        await apis.push(a_vcon(), SECRET, ["customer_data"]),
        await apis.push(a_vcon(), SECRET, {"customer_data": SECRET}),
    ]
    assert [answer.status_code for answer in wrong] == [400] * 3
    assert not any(SECRET in answer.message for answer in wrong)
