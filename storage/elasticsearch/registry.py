"""Names of indexes in use, noted on the server: one limit for all processes, also after a restart.

A new name is written to the note before there is an index of that name, and only if the note is
still as it was read. Where there is no note yet, the indexes on the server are counted.
"""

import logging
from dataclasses import dataclass
from typing import Any

from lib.web.http_retry import Patience, ask
from storage.elasticsearch.parts import (
    Document,
    IndexNames,
    indexes_of_names,
    names_of,
    notes_index,
)

log = logging.getLogger(__name__)

NOTE = "index_names"
"""The id of the note, in the index of the notes."""
TRIES = 20
"""How often it may be that others write in between, before new names wait for another vCon."""


@dataclass(frozen=True)
class Registry:
    """The note of one server and prefix."""

    client: Any
    patience: Patience
    server: str
    prefix: str

    async def admit(self, names: IndexNames, document: Document) -> None:
        """Note the names in a vCon that are new, as far as there is room, and learn all others'."""
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
        """The names, and what a write has to say so that nothing was written in between."""
        client, index = self.client.options(ignore_status=404), notes_index(self.prefix)
        answer = await ask(lambda: client.get(index=index, id=NOTE), self.patience, self.server)
        note = answer.body if isinstance(answer.body, dict) else {}
        if "_source" not in note:
            return await self._existing(), {"op_type": "create"}
        version = {f"if{key}": note[key] for key in ("_seq_no", "_primary_term")}
        return list(note["_source"]["names"]), version

    async def _existing(self) -> list[str]:
        client, pattern = (
            self.client.options(ignore_status=(403, 404)),
            indexes_of_names(self.prefix),
        )
        answer = await ask(
            lambda: client.indices.resolve_index(name=pattern, expand_wildcards=["open", "closed"]),
            *(self.patience, self.server),
        )
        if answer.meta.status == 403:
            log.warning(
                "indexes of the server not counted",
                extra={"storage": "storage.elasticsearch", "status": answer.meta.status},
            )
        body = answer.body if isinstance(answer.body, dict) else {}
        return names_of((each["name"] for each in body.get("indices", ())), self.prefix)

    async def _write(self, names: list[str], version: dict[str, Any]) -> bool:
        """Whether the note was as it was read."""
        client, index = self.client.options(ignore_status=409), notes_index(self.prefix)
        answer = await ask(
            lambda: client.index(index=index, id=NOTE, document={"names": names}, **version),
            *(self.patience, self.server),
        )
        return bool(answer.meta.status != 409)
