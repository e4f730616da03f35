"""The names of indexes in use, stored on the server, so that all processes share one limit.

A new name is stored before an index of that name is created, and only if the stored document has
not changed since it was read (optimistic concurrency control). Without a stored document, the names
are taken from the existing indexes.
"""

import logging
from dataclasses import dataclass
from typing import Any

from lib.web.answers import reading
from lib.web.http_retry import HttpRetry, call_vendor
from storage.elasticsearch.parts import (
    Document,
    IndexNames,
    indexes_of_names,
    names_of,
    notes_index,
)

log = logging.getLogger(__name__)

NOTE = "index_names"
"""The id of the stored document, in the index `patchcord_parts`."""
TRIES = 20
"""The number of attempts on write conflicts; then new names are left to a later vCon."""


@dataclass(frozen=True)
class Registry:
    """The names in use on one server with one prefix."""

    client: Any
    retry: HttpRetry
    server: str
    prefix: str

    async def admit(self, names: IndexNames, document: Document) -> None:
        """Store the new names of a vCon, up to the limit, and learn those of other processes."""
        for _ in range(TRIES):
            if not names.unknown(document):
                return
            noted, version = await self._read()
            names.learn(noted)
            new = names.room_for(names.unknown(document))
            if not new:
                return
            if await self._write([*noted, *new], version):
                names.learn(new)
                return

    async def _read(self) -> tuple[list[str], dict[str, Any]]:
        """The names, and the arguments that make a write fail if the document has changed."""
        client, index = self.client.options(ignore_status=404), notes_index(self.prefix)
        answer = await call_vendor(
            lambda: client.get(index=index, id=NOTE), self.retry, self.server
        )
        note = answer.body if isinstance(answer.body, dict) else {}
        if "_source" not in note:
            return await self._existing(), {"op_type": "create"}
        with reading(self.server, "the names of indexes that were stored", note):
            version = {f"if{key}": note[key] for key in ("_seq_no", "_primary_term")}
            return [str(each) for each in note["_source"]["names"]], version

    async def _existing(self) -> list[str]:
        client, pattern = (
            self.client.options(ignore_status=(403, 404)),
            indexes_of_names(self.prefix),
        )
        answer = await call_vendor(
            lambda: client.indices.resolve_index(name=pattern, expand_wildcards=["open", "closed"]),
            self.retry,
            self.server,
        )
        if answer.meta.status == 403:
            log.warning(
                "existing indexes not counted",
                extra={"storage": "storage.elasticsearch", "status": answer.meta.status},
            )
        body = answer.body if isinstance(answer.body, dict) else {}
        with reading(self.server, "a list of indexes", body):
            return names_of([str(each["name"]) for each in body.get("indices", ())], self.prefix)

    async def _write(self, names: list[str], version: dict[str, Any]) -> bool:
        """Store the names; False if the document has changed since it was read."""
        client, index = self.client.options(ignore_status=409), notes_index(self.prefix)
        answer = await call_vendor(
            lambda: client.index(index=index, id=NOTE, document={"names": names}, **version),
            self.retry,
            self.server,
        )
        return bool(answer.meta.status != 409)
