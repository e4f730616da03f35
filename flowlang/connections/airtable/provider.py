"""The connection plugin for Airtable."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flowlang.connections.airtable.client import AirtableError, AnswerTooLarge, ask
from flowlang.connections.airtable.requests import at_once, changes, formula, halved, listing, path
from flowlang.connections.bounds import Kept
from flowlang.connections.built_in import BuiltInPlugin, task
from flowlang.connections.tls import web_trust
from flowlang.exceptions import ConnectionError

if TYPE_CHECKING:
    from httpx import AsyncClient

ENVELOPE = 1000
"""Bytes of an answer that are around its records."""

type Outputs = dict[str, Any]


class AirtablePlugin(BuiltInPlugin):
    """Reads and changes records; repeats rate-limited requests after a pause."""

    name = "airtable"
    description = "Airtable"
    category = "data_services"
    product = "Airtable"
    prefix = "airtable"
    dependencies = ("httpx>=0.24",)
    required = ("api_key",)
    properties = {
        "api_key": {
            "type": "string",
            "minLength": 1,
            "format": "password",
            "description": "A personal access token",
        },
        "base_id": {
            "type": "string",
            "pattern": "^app",
            "description": "The base of tasks that name no other",
        },
        "timeout": {"type": "number", "default": 30.0, "minimum": 1.0},
        "endpoint_url": {
            "type": "string",
            "default": "https://api.airtable.com",
            "description": "Where a proxy stands in front of Airtable",
        },
    }
    scaffold = {"api_key": "${env.AIRTABLE_API_KEY}", "base_id": "${env.AIRTABLE_BASE_ID}"}
    scaffold_name = "airtable"

    def __init__(self) -> None:
        super().__init__()
        self._client: AsyncClient | None = None
        self._base: str | None = None

    async def connect(self, config: dict[str, Any]) -> Any:
        """Open a client, and see that Airtable knows the key."""
        import httpx

        self.bound(config)
        self._base = config.get("base_id")
        self._client = httpx.AsyncClient(
            base_url=self.setting(config, "endpoint_url"),
            headers={"Authorization": f"Bearer {config['api_key']}"},
            timeout=self.setting(config, "timeout"),
            verify=web_trust(),
        )
        await self.check_connection(self._client)
        return self._client

    async def disconnect(self) -> None:
        """Close the client."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def get_connection(self) -> "AsyncClient":
        """The one client: tasks may use it at the same time."""
        if self._client is None:
            raise ConnectionError("Airtable is not connected")
        return self._client

    async def check_connection(self, connection: "AsyncClient") -> None:
        """Check that Airtable accepts the key; a 403 for listing bases also means a valid key."""
        with suppress(AnswerTooLarge):
            try:
                await self._ask(connection, "GET", path("meta", "bases"))
            except AirtableError as error:
                if error.status != 403:
                    raise

    async def _ask(self, client: Any, method: str, place: str, **content: Any) -> Any:
        return await ask(client, method, place, self._bounds[1] + ENVELOPE, **content)

    def _path(self, base_id: str | None, *parts: str) -> str:
        base = base_id or self._base
        if base is None:
            raise ValueError("neither the task nor its connection has a base_id")
        return path(base, *parts)

    @task
    async def _list_bases(self, base_id: str | None = None, connection: Any = None) -> Outputs:
        """The bases that the key may use: `bases`, `count`."""
        kept = await self._all(connection, path("meta", "bases"), [], "bases")
        return {"bases": kept.rows, "count": len(kept.rows), **kept.told}

    @task
    async def _list_tables(self, base_id: str | None = None, connection: Any = None) -> Outputs:
        """A base's tables with their fields: `tables`, `count`."""
        kept = self.kept(object)
        all(map(kept.add, await self._tables(base_id, connection)))
        return {"tables": kept.rows, "count": len(kept.rows), **kept.told}

    async def _tables(self, base_id: str | None, connection: Any) -> list[Any]:
        base = self._path(base_id).removeprefix("/v0")
        told = await self._ask(connection, "GET", f"/v0/meta/bases{base}/tables")
        tables: list[Any] = told["tables"]
        return tables

    @task
    async def _get_table_schema(
        self, table: str, base_id: str | None = None, connection: Any = None
    ) -> Outputs:
        """A table, by name or id: `schema` and `field_count`."""
        tables = await self._tables(base_id, connection)
        found = next((each for each in tables if table in (each["name"], each["id"])), None)
        if found is None:
            known = ", ".join(each["name"] for each in tables)
            raise ValueError(f"there is no table '{table}'; there is: {known}")
        schema = {
            "table_id": found["id"],
            "table_name": found["name"],
            "primary_field_id": found.get("primaryFieldId"),
            "fields": found["fields"],
        }
        return {"schema": schema, "field_count": len(found["fields"])}

    @task
    async def _list(
        self,
        table: str,
        filter_by_formula: str | None = None,
        sort: Any = None,
        max_records: int | None = None,
        page_size: int = 100,
        view: str | None = None,
        fields: list[str] | None = None,
        params: Mapping[str, Any] | None = None,
        base_id: str | None = None,
        connection: Any = None,
    ) -> Outputs:
        """All records, page after page: `records`, `count`; `params` are values for `:name`.

        `truncated` if there are more than the connection's limits.
        """
        chosen = formula(filter_by_formula, params)
        query = listing(chosen, sort, max_records, page_size, view, fields)
        kept = await self._all(connection, self._path(base_id, table), query, "records")
        records = kept.rows[:max_records]
        told = {} if len(records) == max_records else kept.told
        return {"records": records, "count": len(records), **told}

    @task
    async def _get(
        self, table: str, record_id: str, base_id: str | None = None, connection: Any = None
    ) -> Outputs:
        """One record: `record`, None when there is none; `found`."""
        try:
            record = await self._ask(connection, "GET", self._path(base_id, table, record_id))
        except AirtableError as error:
            if error.status != 404:
                raise
            return {"record": None, "found": False}
        return {"record": record, "found": True}

    @task
    async def _create(
        self,
        table: str,
        fields: Mapping[str, Any],
        base_id: str | None = None,
        connection: Any = None,
    ) -> Outputs:
        """Add a record: `record`, `record_id`."""
        content = {"fields": fields}
        record = await self._ask(connection, "POST", self._path(base_id, table), json=content)
        return {"record": record, "record_id": record["id"]}

    @task
    async def _update(
        self,
        table: str,
        record_id: str,
        fields: Mapping[str, Any],
        base_id: str | None = None,
        connection: Any = None,
    ) -> Outputs:
        """Change some fields of a record: `record`."""
        place, content = self._path(base_id, table, record_id), {"fields": fields}
        return {"record": await self._ask(connection, "PATCH", place, json=content)}

    @task
    async def _delete(
        self,
        table: str,
        record_ids: str | list[str],
        base_id: str | None = None,
        connection: Any = None,
    ) -> Outputs:
        """Remove up to ten records: `deleted_ids`, `deleted_count`."""
        query = [("records[]", each) for each in at_once(record_ids, "record_ids")]
        told = await self._ask(connection, "DELETE", self._path(base_id, table), params=query)
        ids = [each["id"] for each in told["records"] if each.get("deleted")]
        return {"deleted_ids": ids, "deleted_count": len(ids)}

    @task
    async def _find(
        self,
        table: str,
        filter_by_formula: str,
        sort: Any = None,
        params: Mapping[str, Any] | None = None,
        base_id: str | None = None,
        connection: Any = None,
    ) -> Outputs:
        """The first record that a formula is true for: `record`, None when none is; `found`."""
        query = listing(formula(filter_by_formula, params), sort, 1, 1, None, None)
        kept = await self._all(connection, self._path(base_id, table), query, "records")
        if kept.is_cut and not kept.rows:
            raise ValueError(f"the record has more bytes than max_bytes {self._bounds[1]}")
        record = next(iter(kept.rows), None)
        return {"record": record, "found": record is not None, **kept.told}

    @task
    async def _batch(
        self,
        table: str,
        operation: str,
        records: list[Any],
        base_id: str | None = None,
        connection: Any = None,
    ) -> Outputs:
        """Create or update up to ten records, all or none: `records`, `count`."""
        content = {"records": changes(operation, at_once(records, "records"))}
        method = "POST" if operation == "create" else "PATCH"
        told = await self._ask(connection, method, self._path(base_id, table), json=content)
        return {"records": told["records"], "count": len(told["records"])}

    async def _all(
        self, client: Any, place: str, query: list[tuple[str, str]], what: str
    ) -> Kept[Any]:
        """The entries of a list, over all its pages, up to the limits."""
        kept, page = self.kept(object), list[tuple[str, str]]()
        while not kept.is_cut:
            try:
                told = await self._ask(client, "GET", place, params=[*query, *page])
            except AnswerTooLarge:
                kept.is_cut = not (query := halved(query))
                continue
            all(map(kept.add, told[what]))
            if not told.get("offset"):
                break
            page = [("offset", told["offset"])]
        return kept
