"""Fixtures of the tests of the console."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from core.db.database import Database
from core.settings import DatabaseSettings
from tests.databases import Databases
from tests.integration.console.console_scene import OPERATOR, READER, Operator
from tests.integration.http_api.http_scene import CONFIG, Served, Start, serving


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of the service."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def databases(partitioned_databases: Databases) -> Databases:
    """For services that make partitions at their start."""
    return partitioned_databases


@pytest.fixture
def start(
    tmp_path: Path, redis_url: str, migrated: Database, database_settings: DatabaseSettings
) -> Start:
    """Starts the HTTP API with the console; another configuration, changed settings."""
    config = tmp_path / "config.yml"

    def start(text: str = CONFIG, **changes: Any) -> AbstractAsyncContextManager[Served]:
        config.write_text(text.replace("FOLDER", str(tmp_path)))
        given = {"console_password": OPERATOR, "console_read_password": READER} | changes
        return serving(config, redis_url, migrated, database_settings, **given)

    return start


@pytest.fixture
async def served(start: Start) -> AsyncIterator[Served]:
    """The HTTP API with the console."""
    async with start() as served:
        yield served


@pytest.fixture
async def operator(served: Served) -> AsyncIterator[Operator]:
    """A client that has signed in as operator."""
    async with Operator.of(served) as client:
        await client.sign_in()
        yield client
