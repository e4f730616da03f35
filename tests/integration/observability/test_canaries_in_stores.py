"""The search for secrets finds those that were left in Redis or Postgres."""

import psycopg
import pytest
from redis import Redis

from tests.canaries import CANARIES, keep_postgres, keep_redis
from tests.emptying import empty

WORD = "left-behind"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is searched."""
    texts: list[str] = []
    monkeypatch.setattr(CANARIES, "keep", lambda _, text: texts.append(text))
    return texts


def test_every_kind_of_key_is_searched(redis_url: str, kept: list[str]) -> None:
    """Names and values."""
    with Redis.from_url(redis_url) as client:
        client.set(f"{WORD}-1", "x")
        client.set("text", f"{WORD}-2")
        client.rpush("list", f"{WORD}-3")
        client.sadd("set", f"{WORD}-4")
        client.hset("hash", f"{WORD}-5", f"{WORD}-6")
        client.zadd("sorted", {f"{WORD}-7": 1})
        client.xadd("stream", {f"{WORD}-8": f"{WORD}-9"})
        client.json().set("json", ".", {f"{WORD}-a": [f"{WORD}-b"]})
        keep_redis(redis_url)
        empty(client)
    text = "\n".join(kept)
    assert [digit for digit in "123456789ab" if f"{WORD}-{digit}" not in text] == []


def test_every_table_is_searched(database_url: str, kept: list[str]) -> None:
    """All rows with all their columns."""
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE notes (id int, what jsonb)")
        words = [f'"{WORD}-1"', f'"{WORD}-2"']
        connection.execute("INSERT INTO notes VALUES (1, %s), (2, %s)", words)
    keep_postgres(database_url)
    [table] = [text for text in kept if f"{WORD}-2" in text]
    assert f"{WORD}-1" in table
