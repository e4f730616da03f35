"""The operator's operations and commands on real Redis and Postgres."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from app.command_line import read
from app.operator_cli.run import run
from app.operator_cli.session import session
from core.db.database import Database
from core.operator_interfaces import Call, OperatorApi
from core.settings import OperatorProcessSettings, load_settings
from pipeline.redis_client import client as connection
from schemas.ingress_key import Author

if TYPE_CHECKING:
    from pydantic import BaseModel

CONFIG = """
chains:
  main: {ingress_lists: [in, second], egress_lists: [out]}
storages:
  files: {module: storage.file, options: {path: FOLDER}}
ingress_auth:
  in: key-of-a-partner-1
"""
AUTHOR = Author(actor="test")


@dataclass
class Ran:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output of `--json`."""
        return json.loads(self.out)


@dataclass
class OperatorScene:
    """Commands and operations with the same servers and configuration; no service runs."""

    config: Path
    redis: Redis
    database: Database
    capture: pytest.CaptureFixture[str]

    async def cli(self, line: str) -> Ran:
        """Run `python entrypoint.py LINE` in this process."""
        words = read(shlex.split(line))
        assert words.operator is not None
        self.capture.readouterr()
        with _reinstalled():
            code = await run(words.operator, words)
        written = self.capture.readouterr()
        return Ran(code, written.out, written.err)

    @asynccontextmanager
    async def api(self) -> AsyncIterator[OperatorApi]:
        """The operations, as a command has them."""
        with _reinstalled():
            async with session(load_settings(OperatorProcessSettings)) as api:
                yield api

    async def perform(self, name: str, reason: str = "", **arguments: Any) -> BaseModel:
        """Perform one operation."""
        async with self.api() as api:
            return await api.perform(name, arguments, Call(AUTHOR, reason))


@contextmanager
def _reinstalled() -> Iterator[None]:
    """Install the connection of this process again, which the block replaces by its own."""
    before = list(connection._installed)
    try:
        yield
    finally:
        connection._installed[:] = before


def environment_of(config: Path, redis_url: str, database: dict[str, str]) -> dict[str, str]:
    """The variables of a process with the operator's commands."""
    return {**database, "CONSERVER_CONFIG_FILE": str(config), "REDIS_URL": redis_url}


@pytest.fixture
def operator(
    tmp_path: Path,
    redis_url: str,
    migrated: Database,
    database_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[OperatorScene]:
    """Commands with a configuration of one chain."""
    (config := tmp_path / "config.yml").write_text(CONFIG.replace("FOLDER", str(tmp_path)))
    for name, value in environment_of(config, redis_url, database_environment).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("app.operator_cli.run.configure_logging", lambda *_: None)  # the suite's
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "none"))
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield OperatorScene(config, redis, migrated, capsys)
