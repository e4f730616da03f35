"""SQLite, in a thread of each connection's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowlang.connections.sql import SQLITE, Done, Statement
from flowlang.connections.sql_plugin import SqlPlugin
from flowlang.connections.sqlite.database import Database
from flowlang.exceptions import ConnectionError


class SqlitePlugin(SqlPlugin):
    """Queries with `?`, or `:name` where `params` is a mapping."""

    name = "sqlite"
    description = "SQLite database in a file or in memory"
    product = "SQLite"
    prefix = "sqlite"
    dialect = SQLITE
    required = ("database",)
    properties = {
        "database": {
            "type": "string",
            "minLength": 1,
            "description": "A path, whose folder is made if it is missing, or :memory:",
        },
        "timeout": {
            "type": "number",
            "default": 5.0,
            "minimum": 0.1,
            "description": "Seconds to wait while another process writes",
        },
        "isolation_level": {
            "type": ["string", "null"],
            "default": None,
            "enum": ["DEFERRED", "IMMEDIATE", "EXCLUSIVE", None],
            "description": "How a transaction begins; DEFERRED if null",
        },
        "allow_attach": {
            "type": "boolean",
            "default": False,
            "description": "Allow ATTACH and VACUUM INTO, which open and write other files",
        },
        "check_same_thread": {
            "type": "boolean",
            "default": False,
            "description": "Refuse use outside the connection's own thread",
        },
    }
    scaffold = {"database": "./data/app.db", "timeout": 5.0}

    def __init__(self) -> None:
        super().__init__()
        self._database: Database | None = None

    async def connect(self, config: dict[str, Any]) -> Any:
        """Open the file, with foreign keys enforced."""
        self.bound(config)
        path = _path(config["database"])
        level = self.setting(config, "isolation_level") or "DEFERRED"
        self._database = Database(
            level, self._bounds, may_attach=self.setting(config, "allow_attach")
        )
        await self._database.open(
            path,
            uri=path.startswith("file:"),
            timeout=self.setting(config, "timeout"),
            check_same_thread=self.setting(config, "check_same_thread"),
        )
        return self._database

    async def disconnect(self) -> None:
        """Close the file."""
        database, self._database = self._database, None
        if database is not None:
            await database.close()

    async def get_connection(self) -> Database:
        """The only connection; tasks at the same time take turns."""
        if self._database is None:
            raise ConnectionError("SQLite is not connected")
        return self._database

    async def run(
        self, connection: Database, plan: Sequence[Statement], *, atomic: bool = False
    ) -> list[Done]:
        """Run all statements of a task in one go: no other's come between."""
        return await connection.run(plan, atomic=atomic)


def _path(given: str) -> str:
    """The path as the driver takes it.

    A file and a folder that are missing are made, closed to users outside of the group. SQLite
    gives its journals the permissions of the file.
    """
    if given == ":memory:" or given.startswith("file:"):
        return given
    path = Path(given).expanduser()
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o640)
    return str(path)
