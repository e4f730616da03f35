"""Fixtures of the tests of the HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop

from core.db.database import Database
from core.settings import DatabaseSettings
from tests.databases import Databases
from tests.integration.http_api.http_scene import CONFIG, Served, Start, serving

BOTH_LOOPS = ("test_server.py", "test_server_limits.py", "test_server_mutations.py")


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of the service; for the server itself that of the standard library, too."""
    both = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return both if item.path.name in BOTH_LOOPS else {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def databases(partitioned_databases: Databases) -> Databases:
    """For services that make partitions at their start."""
    return partitioned_databases


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration file."""
    (path := tmp_path / "config.yml").write_text(CONFIG.replace("FOLDER", str(tmp_path)))
    return path


@pytest.fixture
async def served(
    config: Path, redis_url: str, migrated: Database, database_settings: DatabaseSettings
) -> AsyncIterator[Served]:
    """The API on a port, with ADMIN_ACTIONS=true."""
    about = (config, redis_url, migrated, database_settings)
    async with serving(*about, admin_actions=True) as served:
        yield served


@pytest.fixture
def start(
    config: Path, redis_url: str, migrated: Database, database_settings: DatabaseSettings
) -> Start:
    """Starts the API, with another configuration or changed settings."""

    def start(text: str = CONFIG, **changes: Any) -> AbstractAsyncContextManager[Served]:
        config.write_text(text.replace("FOLDER", str(config.parent)))
        return serving(config, redis_url, migrated, database_settings, **changes)

    return start


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the API's token."""
    async with served.http() as client:
        yield client
