"""What the built-in plugins generate is run against real servers."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowlang.__main__ import main
from flowlang.connections.postgres import PostgresPlugin
from flowlang.flow import Flow
from flowlang.running import run_flow

CONNECTIONS = {"postgres": "db", "sqlite": "db", "redis": "cache"}


@pytest.fixture(autouse=True)
def environment(
    redis_url: str, postgres_server: Any, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The variables that the generated connections name; the database's URL."""
    url = str(postgres_server.url(empty_database))
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    return url


@pytest.mark.parametrize(
    ("plugin", "outputs"), [("sqlite", {"number": 2}), ("redis", {"value": "hello"})]
)
async def test_the_examples_run(
    plugin: str, outputs: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they are generated, with the connection called as is asked for."""
    command = ["connection", "example", plugin, "--output", str(tmp_path), "--connection", "x"]
    assert main(command) == 0
    path = tmp_path / f"{plugin}_example.yaml"
    assert capsys.readouterr().out == f"Generated: {path}\n"
    assert await run_flow(Flow.read(path)) == {"success": True, "outputs": outputs}


async def test_the_example_for_postgres_runs(tmp_path: Path) -> None:
    """It says which database it is."""
    assert main(["connection", "example", "postgres", "--output", str(tmp_path)]) == 0
    told = await run_flow(Flow.read(tmp_path / "postgres_example.yaml"))
    assert told["outputs"]["version"].startswith("PostgreSQL ")


@pytest.mark.parametrize("plugin", CONNECTIONS)
def test_the_generated_connection_is_yaml(plugin: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Under the name that is usual for it, with what its schema asks for."""
    assert main(["connection", "scaffold", plugin]) == 0
    [(name, config)] = yaml.safe_load(capsys.readouterr().out)["connections"].items()
    assert (name, config["type"]) == (CONNECTIONS[plugin], plugin)


async def test_the_generated_helpers_work(tmp_path: Path, environment: str) -> None:
    """Every function, on a real table."""
    assert main(["connection", "helpers", "postgres", "--output", str(tmp_path)]) == 0
    helpers = runpy.run_path(str(tmp_path / "db_helpers.py"))
    db = PostgresPlugin()
    await db.connect({"url": environment})
    connection = await db.get_connection()
    place = (db, connection, "users")
    await db.execute(connection, "CREATE TABLE users (id int, name text)")
    assert await helpers["insert_record"](*place, {"id": 1, "name": "a"}) == 1
    assert await helpers["update_record"](*place, {"id": 1, "name": "b"}) == 1
    assert await helpers["fetch_by_id"](*place, 1) == {"id": 1, "name": "b"}
    assert await helpers["fetch_by_id"](*place, 2) is None
    assert await helpers["fetch_all"](*place) == [{"id": 1, "name": "b"}]
    assert await helpers["count_records"](*place) == 1
    assert await helpers["delete_record"](*place, 1) == 1
    await db.release_connection(connection)
    await db.disconnect()
