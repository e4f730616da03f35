"""After the erasure of a person nothing that the system keeps has a word of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.db.database import Database
from pipeline.redis_client import client
from tests.acceptance.law.conversations import Around, Conversations, conversations
from tests.acceptance.law.person import Person
from tests.integration.support.http_stand_in import StandIn, stand_in
from tests.integration.support.otlp_collector import collector

KINDS = {"file", "object", "redis", "table"}
"""Where the values of a person are before the erasure."""


@pytest.fixture
async def system(
    tmp_path: Path,
    redis_url: str,
    migrated: Database,
    database_url: str,
    database_environment: dict[str, str],
    s3_url: str,
    bucket: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Conversations]:
    """The system with what is around it, and its variables in this process, for commands."""
    servers = tmp_path, redis_url, database_url, database_environment
    with stand_in(StandIn()) as receiver, collector() as traces:
        around = Around(*servers, s3_url, bucket, traces, receiver)
        for name, value in around.settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
        monkeypatch.syspath_prepend(tmp_path / "plugins")
        monkeypatch.setattr(client, "_installed", list(client._installed))
        async with conversations(around) as running:
            yield running


async def test_nothing_is_found_of_an_erased_person(system: Conversations) -> None:
    """Neither in a key, a row, a file, an object, a line, a span nor a metric."""
    person, other = Person(), Person()
    await system.post("waiting", other.vcon())
    await system.feed(person)
    before = person.traces(system.everything())
    assert {where.split()[0] for where in before} == KINDS
    result = await system.erase(person)
    left = {
        place.place
        for each in result.vcons
        if not each.complete
        for place in each.places
        if place.error
    }
    assert (result.found, left) == (6, {"receiver", "forgetful"})
    assert person.traces(system.everything()) == {}
    assert other.traces(system.everything())
