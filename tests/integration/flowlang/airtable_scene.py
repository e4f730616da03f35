"""A local server in the place of Airtable, and the plugin's tasks on its table."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from flowlang.connections.manager import ConnectionManager
from tests.canaries import canary
from tests.integration.support.http_stand_in import StandIn

KEY = canary("pat-of-airtable-447b")
TABLE = {
    "id": "tblPeople",
    "name": "Odd people/100%?",
    "primaryFieldId": "fld1",
    "fields": [{"id": "fld1", "name": "Name", "type": "singleLineText"}],
}


@dataclass
class Airtable(StandIn):
    """One base with one table, by the name or id of which records are kept."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def reply(self, path: str, body: bytes) -> bytes:
        """What Airtable answers to the last request."""
        parts = [unquote(part) for part in urlsplit(path).path.split("/")[2:]]
        query = parse_qs(urlsplit(path).query)
        given = json.loads(body) if body else {}
        return json.dumps(self._told(parts, query, given)).encode()

    def _told(self, parts: list[str], query: dict[str, Any], given: dict[str, Any]) -> Any:
        if parts[0] == "meta":
            return self._meta(parts[1:], query)
        assert parts[0] in ("appOne", "appTwo")
        match self.methods[-1], parts[2:]:
            case "GET", [record]:
                return self.records.get(record)
            case "GET", []:
                return self._page(query)
            case "POST", []:
                return self._batch(given, lambda _: f"rec{len(self.records)}")
            case "PATCH", []:
                return self._batch(given, lambda each: each["id"])
            case "PATCH", [record]:
                return self._kept(record, given["fields"])
            case "DELETE", []:
                gone = [each for each in query["records[]"] if self.records.pop(each, None)]
                return {"records": [{"id": each, "deleted": True} for each in gone]}
        raise AssertionError(parts)

    def _meta(self, parts: list[str], query: dict[str, Any]) -> Any:
        if parts == ["bases"]:
            more = {} if "offset" in query else {"offset": "next"}
            return {"bases": [{"id": f"app{len(query)}", "name": "A"}], **more}
        assert parts == ["bases", "appOne", "tables"]
        return {"tables": [TABLE]}

    def _page(self, query: dict[str, Any]) -> dict[str, Any]:
        begin, size = int(query.get("offset", ["0"])[0]), int(query["pageSize"][0])
        page = list(self.records.values())[begin : begin + size]
        more = {"offset": str(begin + size)} if begin + size < len(self.records) else {}
        return {"records": page, **more}

    def _batch(self, given: dict[str, Any], name: Any) -> dict[str, Any]:
        if "records" not in given:
            return self._kept(name(given), given["fields"])
        return {"records": [self._kept(name(each), each["fields"]) for each in given["records"]]}

    def _kept(self, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        kept = self.records.setdefault(name, {"id": name, "fields": {}})
        kept["fields"] |= fields
        return kept

    def query(self) -> dict[str, list[str]]:
        """The query of the last request."""
        return parse_qs(urlsplit(self.got[-1][0]).query)


@dataclass
class Tasks:
    """The plugin's tasks on that table."""

    manager: ConnectionManager

    async def do(self, task: str, **parameters: Any) -> dict[str, Any]:
        """Call a task as a flow's step does."""
        function = (await self.manager.get_plugin("a")).get_builtin_tasks()[f"airtable_{task}"]
        async with self.manager.lent("a") as lent:
            told: dict[str, Any] = await function(connection=lent, **parameters)
        return told

    async def on_table(self, task: str, **parameters: Any) -> dict[str, Any]:
        """The same with the table."""
        return await self.do(task, table=TABLE["name"], **parameters)


def config(server: Airtable, **fields: Any) -> dict[str, Any]:
    """The configuration of a connection to it."""
    given = {"type": "airtable", "api_key": KEY, "base_id": "appOne", "endpoint_url": server.base}
    return {"a": {**given, **fields}}
