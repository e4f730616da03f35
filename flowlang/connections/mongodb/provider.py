"""The connection plugin for MongoDB."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from flowlang.connections.bounds import require_room
from flowlang.connections.built_in import BuiltInPlugin, task
from flowlang.connections.mongodb.values import decoded, selection, stored, undecoded, upserted
from flowlang.connections.tls import TLS
from flowlang.exceptions import ConnectionError

if TYPE_CHECKING:
    from pymongo import AsyncMongoClient

type Document = Mapping[str, Any]
type Outputs = dict[str, Any]

BATCH = 100
"""Documents that the server sends at once, if they have no more than its 16 MB together."""
_DIRECTIONS = {"asc": 1, "ascending": 1, "1": 1, "desc": -1, "descending": -1, "-1": -1}


class MongodbPlugin(BuiltInPlugin):
    """Finds and changes documents, whose ids are texts in a flow."""

    name = "mongodb"
    description = "MongoDB"
    category = "database"
    product = "MongoDB"
    prefix = "mongo"
    dependencies = ("pymongo>=4.13",)
    required = ("url", "database")
    properties = {
        "url": {"type": "string", "description": "mongodb://user:password@host:27017"},
        "database": {"type": "string", "minLength": 1},
        "max_pool_size": {"type": "integer", "default": 100, "minimum": 1, "maximum": 1000},
        "min_pool_size": {"type": "integer", "default": 0, "minimum": 0},
        "server_selection_timeout_ms": {
            "type": "integer",
            "default": 30000,
            "minimum": 1000,
            "description": "How long to look for a server that answers",
        },
        "connect_timeout_ms": {"type": "integer", "default": 20000, "minimum": 1000},
        **TLS,
    }
    schemes = ("mongodb://", "mongodb+srv://")
    scaffold = {"url": "${env.MONGODB_URL}", "database": "${env.MONGODB_DATABASE}"}

    def __init__(self) -> None:
        super().__init__()
        self._client: AsyncMongoClient[dict[str, Any]] | None = None
        self._database: Any = None

    async def connect(self, config: dict[str, Any]) -> Any:
        """Open the client, and see that a server answers."""
        from flowlang.mongo_client import mongo_client

        self.bound(config)
        self._client = mongo_client(
            config["url"],
            uuidRepresentation="standard",
            maxPoolSize=self.setting(config, "max_pool_size"),
            minPoolSize=self.setting(config, "min_pool_size"),
            serverSelectionTimeoutMS=self.setting(config, "server_selection_timeout_ms"),
            connectTimeoutMS=self.setting(config, "connect_timeout_ms"),
            **_tls(config),
        )
        await self._client.admin.command("ping")
        self._database = self._client[config["database"]]
        return self._database

    async def disconnect(self) -> None:
        """Close the client with all its connections."""
        client, self._client, self._database = self._client, None, None
        if client is not None:
            await client.close()

    async def get_connection(self) -> Any:
        """The database; its client takes a connection of its pool for each operation."""
        if self._database is None:
            raise ConnectionError("MongoDB is not connected")
        return self._database

    async def check_connection(self, connection: Any) -> None:
        """See that a server answers."""
        await connection.client.admin.command("ping")

    @task
    async def _find(
        self,
        collection: str,
        filter: Document | None = None,
        projection: Any = None,
        sort: Any = None,
        limit: int = 0,
        skip: int = 0,
        connection: Any = None,
    ) -> Outputs:
        """All documents, or `limit` of them: `documents`, `count`; `truncated` if cut."""
        found = undecoded(connection[collection]).find(
            selection(filter),
            projection,
            sort=_order(sort),
            limit=self._limit(limit),
            skip=skip,
            batch_size=BATCH,
        )
        return await self._documents(found, connection.codec_options)

    @task
    async def _find_one(
        self,
        collection: str,
        filter: Document | None = None,
        projection: Any = None,
        connection: Any = None,
    ) -> Outputs:
        """The first document: `document`, None when there is none; `found`.

        One above `max_bytes` is refused.
        """
        found = await undecoded(connection[collection]).find_one(selection(filter), projection)
        if found is None:
            return {"document": None, "found": False}
        require_room(len(found.raw), self._bounds[1], "the document")
        return {"document": decoded(found, connection.codec_options), "found": True}

    @task
    async def _insert(
        self, collection: str, documents: Document | list[Document], connection: Any = None
    ) -> Outputs:
        """Add one or several documents, in their order: `inserted_ids`, `count`."""
        listed = [documents] if isinstance(documents, Mapping) else documents
        if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
            raise ValueError("documents must be a mapping, or a list of mappings")
        if not listed:
            return {"inserted_ids": [], "count": 0}
        told = await connection[collection].insert_many([stored(each) for each in listed])
        ids = [str(each) for each in told.inserted_ids]
        return {"inserted_ids": ids, "count": len(ids)}

    @task
    async def _update(
        self,
        collection: str,
        filter: Document,
        update: Document,
        many: bool = False,
        upsert: bool = False,
        connection: Any = None,
    ) -> Outputs:
        """Change the first document, or all: `matched_count`, `modified_count`, `upserted_id`."""
        into = connection[collection]
        change = into.update_many if many else into.update_one
        chosen = upserted(filter) if upsert else selection(filter)
        told = await change(chosen, stored(update), upsert=upsert)
        new = told.upserted_id
        return {
            "matched_count": told.matched_count,
            "modified_count": told.modified_count,
            "upserted_id": None if new is None else str(new),
        }

    @task
    async def _delete(
        self, collection: str, filter: Document, many: bool = False, connection: Any = None
    ) -> Outputs:
        """Remove the first document, or all: `deleted_count`."""
        out_of = connection[collection]
        told = await (out_of.delete_many if many else out_of.delete_one)(selection(filter))
        return {"deleted_count": told.deleted_count}

    @task
    async def _count(
        self, collection: str, filter: Document | None = None, connection: Any = None
    ) -> Outputs:
        """How many documents there are: `count`."""
        return {"count": await connection[collection].count_documents(selection(filter))}

    @task
    async def _aggregate(
        self, collection: str, pipeline: list[Document], connection: Any = None
    ) -> Outputs:
        """What comes out of a pipeline: `documents`, `count`; `truncated` if there are more."""
        stages = [_stage(each) for each in pipeline]
        found = await undecoded(connection[collection]).aggregate(stages, batchSize=BATCH)
        return await self._documents(found, connection.codec_options)

    def _limit(self, wanted: int) -> int:
        """How many documents the server is asked for: at most one more than are kept."""
        most = self._bounds[0] + 1
        return min(abs(wanted) or most, most)

    async def _documents(self, found: Any, options: Any) -> Outputs:
        """Those that there is room for; only these are decoded."""
        kept = self.kept(dict[str, Any])
        async for each in found:
            if not kept.take(len(each.raw), partial(decoded, each, options)):
                break
        await found.close()
        return {"documents": kept.rows, "count": len(kept.rows), **kept.told}


def _tls(config: Mapping[str, Any]) -> dict[str, Any]:
    """The driver's options; what is not given is left to the URL."""
    told = {"tls": True} if config.get("tls") else {}
    if config.get("tls_ca_file"):
        told["tlsCAFile"] = config["tls_ca_file"]
    if config.get("tls_verify") is False:
        told["tlsAllowInvalidCertificates"] = True
    return told


def _stage(given: Document) -> dict[str, Any]:
    return {
        key: selection(value) if key == "$match" else stored(value) for key, value in given.items()
    }


def _order(given: Any) -> list[tuple[str, Any]] | None:
    """`field`, `{field: -1}` or `[[field, desc]]`, as the driver takes it. Raises ValueError."""
    pairs: list[Any] = [[given, 1]] if isinstance(given, str) else given or []
    pairs = list(given.items()) if isinstance(given, Mapping) else pairs
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(f"sort is given as [[field, direction]], not as {given!r}")
    return [(field, _DIRECTIONS.get(str(way).lower(), way)) for field, way in pairs] or None
