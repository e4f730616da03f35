"""Both APIs against documents made at random: nothing is half done, nothing is a surprise."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from core.settings import DatabaseSettings
from pipeline.redis_client.client import RedisConnection
from pipeline.vcon.normalization import dated, normalised, search_keys
from schemas.vcon import RECEIVED
from tests.emptying import empty
from tests.integration.support.partner_scene import Apis, opened_apis

LIST, SECRET = "customer_data", "secret-1"
UUIDS = [f"01928e10-0000-8000-8000-00000000000{digit}" for digit in range(4)]

FINE = st.text(max_size=12) | st.sampled_from(["", "0.4.0", "%s", "../.."])
ODD = st.text(st.characters(), max_size=12) | st.sampled_from(["\0", "\ud800"])
WHEN = st.sampled_from(["2026-11-21T12:00:00Z", "2026-11-21", 1763726400, 1763726400000.5])
INDEX = st.sampled_from([0, 0, 0, 1, -1])


def json(texts: st.SearchStrategy[str], numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any JSON made of these."""
    return st.recursive(
        st.none() | st.booleans() | numbers | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=6,
    )


PLAIN = json(FINE.filter(lambda text: "\0" not in text), st.integers(-(2**63), 2**64 - 1))
ANYTHING = json(FINE | ODD, st.integers() | st.floats())


def vcons(values: st.SearchStrategy[Any], wrong: int) -> st.SearchStrategy[dict[str, Any]]:
    """VCons whose fields are of their kind but for `wrong` of ten, which are any of the values."""

    def mostly(kind: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.integers(1, 10).flatmap(lambda dice: values if dice <= wrong else kind)

    def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        kinds = {name: mostly(kind) for name, kind in fields.items()}
        return st.fixed_dictionaries({}, optional=kinds | {"x": values})

    content = {
        "body": values,
        "encoding": st.sampled_from(["json", "none", "base64url"]),
        "mediatype": st.just("text/plain"),
        "mimetype": st.just("audio/wav"),
    }
    dialog = some(
        type=st.sampled_from(["recording", "text", "transfer", "incomplete"]),
        start=WHEN,
        parties=INDEX | st.lists(INDEX | st.none(), max_size=3),
        originator=INDEX,
        duration=st.integers(0, 5),
        **content,
    )
    party = some(tel=FINE, mailto=FINE, name=FINE)
    lists = {
        "parties": st.lists(party, min_size=1, max_size=3),
        "dialog": st.lists(dialog, max_size=2),
        "analysis": st.lists(some(type=FINE, dialog=INDEX, **content), max_size=2),
        "attachments": st.lists(some(type=FINE, purpose=FINE, party=INDEX, **content), max_size=2),
    }
    about = {
        "vcon": mostly(st.sampled_from(["0.0.1", "0.2.0", "0.4.0", "9"])),
        "uuid": mostly(st.sampled_from([*UUIDS, UUIDS[0].upper(), f"urn:uuid:{UUIDS[1]}"])),
        "created_at": mostly(WHEN),
    }
    more = {"subject": values, "group": st.sampled_from([None, [], [1]]), "x": values}
    return st.fixed_dictionaries(
        about | {"parties": lists.pop("parties")},
        optional={name: mostly(kind) for name, kind in lists.items()} | more,
    )


ENVELOPES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("payload", "signatures", "ciphertext", "uuid"), ANYTHING)
)
VCONS = vcons(PLAIN, wrong=0) | vcons(PLAIN, wrong=1) | vcons(ANYTHING, wrong=2)


@pytest.fixture
def apis(redis_url: str, database_settings: DatabaseSettings) -> Iterator[Apis]:
    """Both APIs, in an event loop that lives as long as the test."""
    from redis import Redis

    with asyncio.Runner() as runner, Redis.from_url(redis_url, decode_responses=True) as client:
        stack = AsyncExitStack()
        redis = RedisConnection(redis_url)
        opened = runner.run(
            stack.enter_async_context(opened_apis(redis, client, database_settings))
        )
        opened.run = runner.run  # type: ignore[attr-defined]
        opened.key(SECRET)
        yield opened
        runner.run(stack.aclose())
        runner.run(redis.close())


def same(kept: Any, wanted: Any) -> bool:
    """Equal, but for the last digit of a float: RedisJSON does not always keep the seventeenth."""
    if isinstance(kept, dict) and isinstance(wanted, dict):
        each = ((kept.get(key, ...), wanted[key]) for key in wanted)
        return kept.keys() == wanted.keys() and all(same(*pair) for pair in each)
    if isinstance(kept, list) and isinstance(wanted, list):
        return len(kept) == len(wanted) and all(map(same, kept, wanted))
    if isinstance(kept, float) and isinstance(wanted, float):
        return math.isclose(kept, wanted, rel_tol=1e-15)
    return type(kept) is type(wanted) and bool(kept == wanted)


def check_whole(apis: Apis, vcon: dict[str, Any], uuid: str) -> None:
    """The vCon that was taken in: document, index, and one entry in its list."""
    client = apis.client
    kept = apis.stored(uuid)
    wanted = orjson.loads(orjson.dumps(normalised(vcon)))
    if wanted.get("created_at") is None:
        known = dated({**wanted, "uuid": uuid}, datetime.now(UTC))
        is_told = RECEIVED.items() <= known.items()  # else by the uuid
        wanted = {**known, "created_at": kept["created_at"]} if is_told else known
    assert same(kept, wanted)
    assert client.lrange(LIST, 0, -1) == [uuid]
    assert client.zscore("vcons", uuid) is not None
    assert all(client.smembers(key) == {uuid} for key in search_keys(kept))


@pytest.mark.timeout(900)  # of the long form
@pytest.mark.parametrize("partner", [False, True], ids=["IngestVcon", "ExternalIngress"])
@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(vcon=VCONS | VCONS | ENVELOPES | ANYTHING)
def test_whatever_comes_is_taken_whole_or_refused_in_words(
    apis: Apis, partner: bool, vcon: Any
) -> None:
    """A 2xx with all of the vCon in its place, or a 4xx in words and nothing anywhere."""
    empty(apis.client)
    asked = apis.push(vcon, SECRET) if partner else apis.ingest(vcon, LIST)
    answer = apis.run(asked)  # type: ignore[attr-defined]
    event(f"answered {answer.status_code}")
    if answer.status_code in (200, 201):
        check_whole(apis, vcon, answer.fields["uuid"])
        return
    assert 400 <= answer.status_code < 500
    assert len(answer.message) > 10
    left = [key for key in apis.client.keys("*") if not key.startswith("pc:rate:")]
    assert left == []
