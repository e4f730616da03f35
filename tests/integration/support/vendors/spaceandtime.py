"""Space and Time's gateway: its SQL endpoint, over a database that runs the statements."""

from __future__ import annotations

import json
import sqlite3
from threading import Lock
from typing import Any

from tests.integration.support.http_stand_in import Refused, Request, StandIn

SQL = "/v1/sql"
MEMBERS = {"sqlText", "biscuits", "resources", "validate"}
TABLE = "VCONS.CONVERSATIONS"


def refuse(status: int, title: str, detail: str) -> Refused:
    """An error in the gateway's form."""
    return Refused(status, {"title": title, "status": status, "detail": detail})


class SpaceAndTime(StandIn):
    """A gateway with one table, whose statements SQLite runs: it quotes as the dialect does.

    `permits`: the statements that the biscuit allows; without the biscuit, none is allowed.
    `before`: statements of another process, each run before one that writes.
    """

    def __init__(self, key: str = "sxt_key", biscuit: str = "EpUBCioBOQ") -> None:
        super().__init__()
        self.key, self.biscuit = key, biscuit
        self.permits = {"SELECT", "INSERT", "UPDATE", "DELETE"}
        self.before: list[str] = []
        self._lock = Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        self._database.execute("ATTACH ':memory:' AS VCONS")
        columns = "UUID TEXT PRIMARY KEY, VCON TEXT, CREATED_AT TEXT, SUBJECT TEXT, VCON_JSON TEXT"
        self._database.execute(f"CREATE TABLE {TABLE} ({columns})")

    @property
    def options(self) -> dict[str, Any]:
        """Options of the storage."""
        access = {"api_key": self.key, "biscuit": self.biscuit, "table_name": TABLE}
        return {**access, "base_url": self.url, "backoff": 0.001, "timeout": 30}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows of the table."""
        return self.run(f"SELECT * FROM {TABLE}")

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def run(self, statement: str) -> list[dict[str, Any]]:
        """The rows of one statement, or the count of those that it has changed."""
        with self._lock:
            cursor = self._database.execute(statement)
            if statement.upper().startswith("SELECT"):
                return [dict(row) for row in cursor]
            return [{"UPDATED": cursor.rowcount}]

    def reply_to(self, request: Request) -> bytes:
        """The answer to one call."""
        if request.path != SQL or request.method != "POST":
            raise refuse(404, "Not Found", "no such resource")
        key = request.headers.get("apikey", "")
        if not key.startswith("sxt_") or key != self.key:
            raise refuse(401, "Unauthorized", f"the API key {key} is invalid")
        if request.headers.get("content-type") != "application/json":
            raise refuse(415, "Unsupported Media Type", "expected JSON")
        body = request.json
        if not isinstance(body.get("sqlText"), str) or body.keys() - MEMBERS:
            raise refuse(400, "Bad Request", "sqlText is required")
        kind = body["sqlText"].partition(" ")[0].upper()
        if self.biscuit not in body.get("biscuits", []) or kind not in self.permits:
            raise refuse(403, "Forbidden", f"no biscuit permits {kind}")
        if kind != "SELECT" and self.before:
            self.run(self.before.pop())
        return json.dumps(self._executed(body["sqlText"])).encode()

    def _executed(self, statement: str) -> list[dict[str, Any]]:
        try:
            return self.run(statement)
        except sqlite3.IntegrityError:
            raise refuse(400, "Execution error", "Duplicate key during INSERT") from None
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise refuse(400, "Bad SQL", f"{error} in {statement}") from None
