"""What the built-in plugins generate is run, as it is, against real servers."""

from __future__ import annotations

import runpy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from flowlang.__main__ import main
from flowlang.language.flow import Flow
from flowlang.running import run_flow
from tests.integration.support.flowlang_databases import KINDS, NAME, Opened

if TYPE_CHECKING:
    from pathlib import Path

CONNECTIONS = {"postgres": "db", "mysql": "db", "sqlite": "db", "redis": "cache"}
SQL = pytest.mark.parametrize("database_config", KINDS, indirect=True)


async def ran(plugin: str, folder: Path, *options: str) -> dict[str, Any]:
    """What the example flow of a plugin comes to, generated as on the command line."""
    assert main(["connection", "example", plugin, "--output", str(folder), *options]) == 0
    return await run_flow(Flow.read(folder / f"{plugin}_example.yaml"))


@SQL
async def test_the_examples_of_sql_databases_run(
    database_config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variables set that they name, and nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_config.get("url", ""))
    for name in ("host", "port", "user", "password", "database"):
        monkeypatch.setenv(f"MYSQL_{name.upper()}", str(database_config.get(name, "")))
    told = await ran(database_config["type"], tmp_path)
    assert told["success"], told
    assert [row["name"] for row in told["outputs"]["visitors"]] == ["Ada"]


async def test_the_example_of_redis_runs(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Under the name for the connection that is asked for."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    told = await ran("redis", tmp_path, "--connection", "x")
    assert told == {"success": True, "outputs": {"value": "hello"}}
    path = tmp_path / "redis_example.yaml"
    assert capsys.readouterr().out == f"Generated: {path}\n"
    assert list(yaml.safe_load(path.read_text(encoding="utf-8"))["connections"]) == ["x"]


@pytest.mark.parametrize("plugin", CONNECTIONS)
def test_the_generated_connection_is_yaml(plugin: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Under the name that is usual for it, with what its schema asks for."""
    assert main(["connection", "scaffold", plugin]) == 0
    [(name, config)] = yaml.safe_load(capsys.readouterr().out)["connections"].items()
    assert (name, config["type"]) == (CONNECTIONS[plugin], plugin)


@SQL
async def test_the_helpers_of_sql_databases_work(database: Opened, tmp_path: Path) -> None:
    """Each of the six functions, over a connection that a flow lends."""
    assert main(["connection", "helpers", database.kind.plugin, "--output", str(tmp_path)]) == 0
    helpers = SimpleNamespace(**runpy.run_path(str(tmp_path / "db_helpers.py")))
    async with database.manager.lent(NAME) as lent:
        for name in ("Ada", "Bo"):
            await helpers.insert_record("people", {"name": name}, connection=lent)
        assert await helpers.count_records("people", connection=lent) == {"count": 2}
        changed = await helpers.update_record("people", 2, {"name": "Cy"}, connection=lent)
        assert changed["updated_count"] == 1
        found = await helpers.fetch_by_id("people", 2, connection=lent)
        assert (found["found"], found["row"]["name"]) == (True, "Cy")
        gone = await helpers.delete_record("people", "Ada", key_field="name", connection=lent)
        assert gone == {"rows_affected": 1}
        rows = (await helpers.fetch_all("people", limit=5, connection=lent))["rows"]
        assert [row["name"] for row in rows] == ["Cy"]
        found = await helpers.fetch_by_id("people", 1, connection=lent)
        assert found == {"row": None, "found": False}
