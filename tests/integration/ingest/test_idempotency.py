"""vCons with an idempotency key: the same again is no work, also after a change or expiry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from core.errors import BusyError, FullError, InvalidError, ReusedKeyError, UnusableKeyError
from pipeline.ingest import outboxes
from pipeline.redis_client.client import RedisConnection
from schemas.ingested import Ingested
from tests.held_day import hold_day
from tests.integration.support.operations_scene import MAX_DEPTH, Operations, operations
from tests.integration.support.partner_scene import Apis
from tests.integration.support.pipeline_fixtures import a_vcon, both, configured

DAY = 86_400


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """An empty Redis, and two ingress lists, `in` and `second`."""
    async with operations(redis_url) as opened:
        opened.configure(both(configured(), configured(name="other", ingress=("second",))))
        yield opened


async def take(ops: Operations, vcon: Any, *lists: str, key: str | None = "key") -> Ingested:
    """The outcome of a vCon from an internal caller."""
    return await ops.internal.take(vcon, lists, None, idempotency_key=key)


def everything(ops: Operations) -> dict[str, Any]:
    """Every key of Redis with what it holds."""
    return {key: ops.client.dump(key) for key in ops.client.scan_iter()}


async def test_the_same_request_again_is_a_duplicate(ops: Operations) -> None:
    """Nothing changes in Redis; the answer has the document that was stored."""
    vcon = a_vcon()
    first = await take(ops, vcon, "in")
    before = everything(ops)
    again = await take(ops, orjson.dumps(vcon), "in")
    assert (first.outcome, again.outcome) == ("new", "duplicate")
    assert orjson.loads(again.document) == ops.client.json().get(f"vcon:{vcon['uuid']}")
    assert again.document == first.document
    assert everything(ops) == before


async def test_it_does_not_bring_back_what_was_replaced(ops: Operations) -> None:
    """A late repetition of the first version leaves the second one in place."""
    vcon = a_vcon(subject="first")
    await take(ops, vcon, "in")
    await take(ops, vcon | {"subject": "second"}, "in", key="another")
    before = everything(ops)
    assert (await take(ops, vcon, "in")).outcome == "duplicate"
    assert everything(ops) == before


@pytest.mark.parametrize("held", [False, True], ids=["idle", "in a run"])
async def test_it_does_not_bring_back_what_has_expired(ops: Operations, *, held: bool) -> None:
    """Nor what was deleted; and a run that works on the vCon is no conflict."""
    vcon = a_vcon()
    first = await take(ops, vcon, "in")
    ops.client.delete("in")
    ops.forget_time(vcon["uuid"])
    if held:
        ops.client.hset("pc:locks", vcon["uuid"], "a run")
    again = await take(ops, vcon, "in")
    assert (again.outcome, again.document) == ("duplicate", first.document)
    assert not ops.client.exists("in", f"vcon:{vcon['uuid']}")


async def test_another_request_with_the_key_is_refused(ops: Operations) -> None:
    """Other content, another vCon, other lists: nothing changes."""
    vcon = a_vcon()
    await take(ops, vcon, "in")
    before = everything(ops)
    for other, lists in [
        (vcon | {"subject": "x"}, ["in"]),
        (a_vcon(), ["in"]),
        (vcon, ["in", "second"]),
        (vcon, ["second"]),
        (vcon, []),
    ]:
        with pytest.raises(ReusedKeyError, match="Idempotency-Key was used with another vCon"):
            await take(ops, other, *lists)
    assert everything(ops) == before
    for longer in ("", "x" * 256):
        with pytest.raises(InvalidError, match="Idempotency-Key"):
            await take(ops, a_vcon(), "in", key=longer)


async def test_spellings_of_the_same_request_are_the_same(ops: Operations) -> None:
    """Members in another order, lists in another order or twice."""
    vcon = a_vcon()
    await take(ops, vcon, "in", "second")
    turned = dict(reversed(vcon.items()))
    assert (await take(ops, turned, "second", "in", "second")).outcome == "duplicate"


@pytest.mark.parametrize("spelling", [str, str.upper, lambda uuid: f'"{uuid}"'])
async def test_the_uuid_as_the_key_takes_new_versions(ops: Operations, spelling: Any) -> None:
    """As adapters use it: the same content is a duplicate, other content replaces."""
    vcon = a_vcon()
    key = spelling(vcon["uuid"])
    changed = vcon | {"subject": "changed"}
    outcomes = [
        (await take(ops, each, "in", key=key)).outcome for each in (vcon, vcon, changed, changed)
    ]
    assert outcomes == ["new", "duplicate", "replaced", "duplicate"]
    assert ops.list("in") == [vcon["uuid"]] * 2
    assert not ops.client.keys("pc:request:*")


async def test_of_many_at_once_one_is_carried_out(ops: Operations) -> None:
    """However close together they come; with different contents the others are refused."""
    vcon = a_vcon()
    taken = await asyncio.gather(*(take(ops, vcon, "in") for _ in range(10)))
    assert sorted(each.outcome for each in taken) == ["duplicate"] * 9 + ["new"]
    assert ops.list("in") == [vcon["uuid"]]
    others = [a_vcon(subject=str(number)) for number in range(5)]
    answers = await asyncio.gather(
        *(take(ops, each, "in", key="other") for each in others), return_exceptions=True
    )
    assert sum(isinstance(each, ReusedKeyError) for each in answers) == 4
    assert len(ops.list("in")) == 2


async def test_a_refused_request_has_not_used_its_key(ops: Operations) -> None:
    """A busy vCon or a full list: the key is free for the next try, and for another request."""
    vcon = a_vcon()
    await take(ops, vcon, key=None)
    with ops.held(vcon["uuid"]), pytest.raises(BusyError):
        await take(ops, vcon | {"subject": "x"})
    ops.client.rpush("in", *range(MAX_DEPTH))
    with pytest.raises(FullError):
        await take(ops, vcon, "in")
    assert not ops.client.keys("pc:request:*")
    assert (await take(ops, vcon | {"subject": "y"})).outcome == "replaced"


async def test_redis_has_the_key_for_a_day_and_not_in_clear(ops: Operations) -> None:
    """Callers may put what they like into a key."""
    await take(ops, a_vcon(), "in", key="ann@example.com")
    [name] = ops.client.keys("pc:request:*")
    assert DAY - 60 < ops.client.ttl(name) <= DAY
    assert "ann@" not in name + ops.client.get(name)


async def test_the_first_time_of_receipt_is_told_again(ops: Operations) -> None:
    """A vCon without `created_at` has the time at which it came in first, with a key or without."""
    for key in ("key", None):
        vcon = a_vcon(created_at=None)
        taken = [await take(ops, vcon, "in", key=key) for _ in range(3)]
        stored = ops.client.json().get(f"vcon:{vcon['uuid']}")
        assert [orjson.loads(each.document) for each in taken] == [stored] * 3


async def test_keys_of_run_chain_are_others(ops: Operations) -> None:
    """The same text as a key of both is no conflict, in either order."""
    vcon, other = a_vcon(), a_vcon()
    entry = await ops.internal.entry(vcon, [])
    await ops.internal.put(entry, "key")
    assert (await take(ops, other, "in")).outcome == "new"
    await take(ops, a_vcon(), "in", key="second")
    await ops.internal.put(await ops.internal.entry(other | {"subject": "x"}, []), "second")
    with pytest.raises(ReusedKeyError, match="this idempotency_key"):
        await ops.internal.put(await ops.internal.entry(other, []), "second")


async def test_the_document_is_no_member_of_the_answer(ops: Operations) -> None:
    """An action that dumps the outcome has what it had before."""
    taken = await take(ops, a_vcon())
    assert taken.model_dump().keys() == {"uuid", "outcome", "warnings"}
    assert "document" not in repr(taken)


# --- partners


async def test_each_lineage_has_its_own_keys(apis: Apis) -> None:
    """A partner cannot learn or block the keys of another, nor those of internal callers."""
    for secret in ("secret-1", "secret-2"):
        await asyncio.to_thread(apis.key, secret)
    partners, vcons = apis.partners.api, [a_vcon() for _ in range(3)]
    for vcon, secret in zip(vcons, ("secret-1", "secret-2"), strict=False):
        taken = await partners.take(vcon, ["customer_data"], secret, idempotency_key="key")
        assert taken.outcome == "new"
    internal = apis.pipeline.internal
    taken = await internal.take(vcons[2], ["customer_data"], idempotency_key="key")
    assert taken.outcome == "new"
    assert len(apis.client.keys("pc:request:*")) == 3


async def test_a_partner_repeats_and_reuses(apis: Apis, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an internal caller does; through the internal API with a key, too."""
    hold_day(monkeypatch, outboxes)
    key = await asyncio.to_thread(apis.key, "secret-1")
    vcon = a_vcon(subject="first")
    to, secret = ["customer_data"], "secret-1"
    for api, outcome in [(apis.partners.api, "new"), (apis.pipeline.internal, "duplicate")]:
        taken = await api.take(vcon, to, secret, idempotency_key="key")
        assert taken.outcome == outcome
    with pytest.raises(ReusedKeyError):
        await apis.partners.api.take(a_vcon(), to, secret, idempotency_key="key")
    assert apis.client.lrange("customer_data", 0, -1) == [vcon["uuid"]]
    await apis.partners.api.usage.write()
    [usage] = await asyncio.to_thread(apis.ledger.usage, key.id, None, None)
    assert (usage.accepted, usage.refused) == (2, {"conflict": 1})


async def test_a_refused_key_of_a_partner_leaves_the_uuid_to_others(apis: Apis) -> None:
    """A reused key claims no uuid in Postgres."""
    for secret in ("secret-1", "secret-2"):
        await asyncio.to_thread(apis.key, secret)
    take_in, vcon = apis.partners.api.take, a_vcon()
    await take_in(a_vcon(), ["customer_data"], "secret-1", idempotency_key="key")
    with pytest.raises(ReusedKeyError):
        await take_in(vcon, ["customer_data"], "secret-1", idempotency_key="key")
    assert (await take_in(vcon, ["customer_data"], "secret-2")).outcome == "new"


# --- replicas of two versions on one Redis

EARLIER = """
local about = 'pc:about:' .. ARGV[1]
redis.call('JSON.SET', 'vcon:' .. ARGV[1], '.', ARGV[2])
redis.call('HSET', about, 'digest', string.match(ARGV[4], '^[^\\n]*'), 'index', '[]', 'owner', '')
local n = tonumber(ARGV[11])
for i = 12, 11 + n do
  redis.call('HSET', about, 'in:' .. ARGV[i], 1)
  redis.call('RPUSH', ARGV[i], ARGV[1])
end
return {'new'}
"""
"""What the script of the version before writes, with the arguments in its order."""


async def test_each_version_calls_its_own_script(ops: Operations, redis_url: str) -> None:
    """A script is known by its digest, so arguments of one version never reach that of another.

    What the earlier version has stored without a time of receipt is a duplicate here.
    """
    earlier = RedisConnection(redis_url)
    earlier._scripts = {**earlier._scripts, "ingest": EARLIER}
    for _ in range(2):
        vcon, undated = a_vcon(), a_vcon(created_at=None)
        for old in (vcon, undated):
            entry = await ops.internal.entry(old, [])
            words = (entry.created_at, "\n".join(entry.digests), "vcons", 9, "", "", "new", "")
            call = (entry.vcon_uuid, entry.document, *words, 1, "in")
            assert await earlier.script("ingest", *call) == ["new"]
            assert (await take(ops, old, "in", key=old["uuid"][:8])).outcome == "duplicate"
    await earlier.close()
    assert len(ops.list("in")) == 4


async def test_an_unreadable_registration_is_another_request(ops: Operations) -> None:
    """What a later version or another program wrote there is not taken for this request."""
    vcon = a_vcon()
    await take(ops, vcon, "in")
    [name] = ops.client.keys("pc:request:*")
    for text in ("", "x", "\n\n", ops.client.get(name) + "\nmore"):
        ops.client.set(name, text)
        with pytest.raises(ReusedKeyError):
            await take(ops, vcon, "in")
    ops.client.delete(name)
    ops.client.rpush(name, "x")
    with pytest.raises(UnusableKeyError, match="pc:request:"):
        await take(ops, a_vcon(), "in")
