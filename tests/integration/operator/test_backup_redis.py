"""What a restored Redis has, compared with the one before."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis import Redis

from pipeline.operator.backup import redis_reader
from pipeline.operator.backup.kinds import Treatment, kind_of
from pipeline.redis_client.client import RedisConnection
from tests.emptying import empty
from tests.integration.operator.backup_scene import BackupScene
from tests.integration.redis_client.script_world import FOREIGN, World
from tests.integration.redis_client.script_world import kind_of as type_of

READERS: dict[str, Any] = {
    "string": lambda at, key: at.get(key),
    "list": lambda at, key: at.lrange(key, 0, -1),
    "hash": lambda at, key: at.hgetall(key),
    "set": lambda at, key: at.smembers(key),
    "zset": lambda at, key: at.zrange(key, 0, -1, withscores=True),
    "ReJSON-RL": lambda at, key: at.execute_command("JSON.GET", key),
}


def content(client: Redis) -> dict[bytes, tuple[Any, int]]:
    """Every key with its value, and the seconds it has left."""
    address = client.connection_pool.connection_kwargs
    plain = Redis(host=address["host"], port=address["port"])
    found = {}
    with plain:
        for key in plain.scan_iter(count=1000):
            kind = plain.type(key).decode()
            found[key] = (READERS[kind](plain, key), plain.ttl(key))
    return found


async def test_every_element_has_a_place_and_every_kept_key_its_value(backups: BackupScene) -> None:
    """In flight, delayed, waiting, lent out: all are in places that lead to their ends."""
    world = World(backups.client)
    before, keys_before = world.look(), content(backups.client)
    await backups.around()
    after, keys_after = world.look(), content(backups.client)
    assert before.places.keys() == after.places.keys()
    for key, (value, left) in keys_before.items():
        name = key.decode()
        if kind_of(name).treatment is Treatment.KEEP and not isinstance(value, list):
            assert keys_after[key][0] == value, key
            assert abs(keys_after[key][1] - left) <= 60, key
    assert not [key for key in keys_after if key.startswith(b"pc:restoring:")]
    queued = [each.decode() for each in keys_after[b"in"][0]]
    assert queued[-3:] == ["first", "second", "third"]  # the others were before them


async def test_a_claim_goes_on_from_its_checkpoint(backups: BackupScene) -> None:
    """As the same attempt of the same run; a delayed retry keeps its time."""
    world = World(backups.client)
    backups.client.hset("pc:attempts:run:main", "held2|run-held2", "2\nrun-held2\n1")
    await backups.around()
    attempts = backups.client.hgetall("pc:attempts:in")
    assert attempts["held"] == "0\nrun-held\n0"
    assert attempts["second"] == "1\nrun-second\n0"
    assert backups.client.hget("pc:attempts:run:main", "held2|run-held2") == "2\nrun-held2\n1"
    assert json.loads(backups.client.get("pc:run:run-held"))["status"] == "running"
    assert backups.client.zscore("pc:later", "in\nlate") == 5
    assert world.look().places["late"] == 2


async def test_rows_of_custody_are_not_restored(backups: BackupScene) -> None:
    """The new database may not have them; a vCon without rows gets one at its claim."""
    World(backups.client)
    kept = {"custody:in": "1.1:1 2.2:1", "custody:": "3.3:1", "version": 2}
    before = backups.client.hgetall("pc:about:first")
    backups.client.hset("pc:about:first", mapping=kept)
    await backups.around()
    assert backups.client.hgetall("pc:about:first") == before


@pytest.mark.parametrize("protocol", [2, 3])
async def test_any_bytes_in_both_versions_of_the_protocol(
    backups: BackupScene, redis_url: str, protocol: int
) -> None:
    """Keys, members and values that are no UTF-8; scores that no text shows shorter."""
    key, value = b"\xff key\r\n:\x00", b"\x00\xc3\x28" * 100
    plain = Redis.from_url(redis_url)
    plain.set(key + b"s", value, px=3_600_000)
    plain.rpush(key + b"l", value, b"", value)
    plain.hset(key + b"h", value, value)
    plain.sadd(key + b"e", value, b"")
    plain.zadd(key + b"z", {value: 0.1 + 0.2, b"": float("-inf"), b"x": 1764444444444.123})
    plain.execute_command("JSON.SET", key + b"j", ".", '{"a":[1,2.5,"\\u0000ä"]}')
    before = content(backups.client)
    backups.client = plain
    backups.redis = RedisConnection(f"{redis_url}?protocol={protocol}")
    await backups.around()
    await backups.redis.close()
    after = content(plain)
    plain.close()
    assert {name: each for name, (each, _) in after.items()} == {
        name: each for name, (each, _) in before.items()
    }
    assert 3500 < after[key + b"s"][1] <= 3600


async def test_large_keys_are_read_in_slices(backups: BackupScene) -> None:
    """Longer than any page or slice, with values larger than one."""
    client, many = backups.client, [f"{n:036}" for n in range(20_000)]
    client.rpush("long", *many)
    client.sadd("set", *many)
    client.hset("hash", mapping={each: each for each in many})
    client.zadd("zset", {each: n for n, each in enumerate(many)})
    client.rpush("wide", *("x" * 100_000 + str(n) for n in range(20)))
    client.set("string", "ä" * 1_500_000)
    client.json().set("vcon:large", ".", {"analysis": [{"body": "ä" * 2_000_000}]})
    before = content(client)
    await backups.around()
    assert content(client) == before


@pytest.mark.parametrize("kind", ["string", "list", "zset", "stream"])
async def test_keys_of_another_type_lose_no_vcon(backups: BackupScene, kind: str) -> None:
    """A backup is complete beside keys of another program under all names of the service."""
    world = World(backups.client)
    names = [key for key in world.look().keys if key.startswith("pc:") and type_of(key) != kind]
    for key in names:
        backups.client.delete(key)
        FOREIGN[kind](backups.client, key)
    before = world.look().places
    result = await backups.back_up()
    assert bool(result.left_out) is (kind == "stream")
    empty(backups.client)
    await backups.restore()
    assert before.keys() - {"another program's"} <= world.look().places.keys()
    if kind != "stream":
        assert [key for key in kept(names) if backups.client.type(key) != kind] == []


def kept(names: list[str]) -> list[str]:
    """The keys that a backup keeps, of any type."""
    left_out = (Treatment.LEFT_OUT, Treatment.QUEUED, Treatment.LENT)
    return [name for name in names if kind_of(name).treatment not in left_out]


async def test_a_vcon_that_a_link_makes_after_scan_has_passed(
    backups: BackupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took the place of another, which has ended: nothing else leads to it."""
    scan = redis_reader.scan

    async def then_made(*words: Any) -> AsyncIterator[list[str]]:
        async for found in scan(*words):
            yield found
        backups.client.json().set("vcon:made", ".", {"uuid": "made"})
        backups.client.sadd("pc:holds:made", "out")
        backups.client.rpush("out", "made")

    backups.client.json().set("vcon:first", ".", {"uuid": "first"})
    monkeypatch.setattr(redis_reader, "scan", then_made)  # not that of the readers before
    await backups.back_up()
    monkeypatch.undo()
    empty(backups.client)
    await backups.restore()
    assert backups.client.lrange("out", 0, -1) == ["made"]
    assert backups.client.json().get("vcon:made") == {"uuid": "made"}
