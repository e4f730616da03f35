"""Fixtures of the tests of the HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from core.db.database import Database
from core.settings import DatabaseSettings
from tests.integration.http_api.http_scene import CONFIG, Served, serving


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
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the API's token."""
    async with served.http() as client:
        yield client
