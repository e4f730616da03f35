"""What is kept of a vCon beside its document is forgotten when it is erased."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text

from core.concurrency.thread_pool import in_own_thread
from core.db.law.traces import LawTraces
from pipeline.erasure.traces import Traces
from pipeline.redis_client import keys
from pipeline.redis_client.client import RedisConnection
from tests.integration.operator.people_scene import People, people
from tests.integration.stored.stored_scene import index_of
from tests.integration.support.operator_scene import operator
from tests.integration.support.pipeline_fixtures import new_uuid

__all__ = ["operator", "people"]


def run_sql(people: People, statement: str, **words: Any) -> None:
    """Change rows."""
    with people.operator.database.transaction() as session:
        session.execute(text(statement), words)


@pytest.fixture
def traces(people: People, redis: RedisConnection) -> Traces:
    """What forgets, on the servers of the scene."""
    rows = LawTraces(people.operator.database)
    return Traces(redis, index_of(people.operator.database), rows, in_own_thread)


async def test_errors_and_salts_are_forgotten_and_those_of_others_stay(
    people: People, traces: Traces
) -> None:
    """Also when it is repeated."""
    erased, other = new_uuid(), new_uuid()
    runs = [people.ran(each, status="failed", error="KeyError: Ann") for each in (erased, other)]
    salt = "INSERT INTO law_salts (vcon_uuid, salt) VALUES (CAST(:vcon AS uuid), 'salt')"
    for each, run in zip((erased, other), runs, strict=True):
        run_sql(people, salt, vcon=each)
        people.operator.redis.set(keys.run(run), json.dumps({"error": "KeyError: Ann"}))
    for _ in range(2):
        await traces.forget([erased])
        salts = "SELECT vcon_uuid::text FROM law_salts WHERE salt IS NULL AND forgotten_at < now()"
        assert people.rows(salts) == [erased]
        errors = people.rows("SELECT error FROM chain_runs ORDER BY error")
        assert errors == ["KeyError: Ann", "KeyError: erased"]
        assert people.operator.redis.keys("pc:run:*") == [keys.run(runs[1])]


async def test_a_party_is_forgotten_under_every_hash(people: People, traces: Traces) -> None:
    """The grant stays without a subject; a denial protects the party, and stays as it is."""
    insert = (
        "INSERT INTO law_bases (party, purpose, granted, basis, granted_at, actor)"
        " VALUES (:party, 'transcription', :granted, 'consent', now(), 'test')"
    )
    for party, granted in (("new", True), ("old", True), ("other", True), ("new", False)):
        run_sql(people, insert, party=party, granted=granted)
    await traces.forget_party(["new", "old"])
    assert people.rows("SELECT party FROM law_bases ORDER BY id") == [None, None, "other", "new"]
