"""vcon-server's own Redis commands, in its own forms, as its API and its worker send them.

The forms and their order are those of its sources at commit b9b0381 of August 2026; `as_string` is
how its releases write and read vCons since September 2026.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from redis import Redis

VCON_EXPIRY, INDEX_EXPIRY, DEAD_EXPIRY, CONTEXT_EXPIRY = 3600, 86_400, 604_800, 86_400
CONTEXT = {"trace_id": "ab" * 16, "span_id": "cd" * 8, "trace_flags": 1, "is_sampled": True}

type Link = Callable[[dict[str, Any]], None]


class VconServer:
    """Its API and its worker, one command at a time; not the decisions around them."""

    def __init__(self, client: Redis, *, as_string: bool = False) -> None:
        self._client = client
        self._as_string = as_string

    def store(self, document: Mapping[str, Any]) -> None:
        """As `JSON.SET vcon:{uuid} $`, or as a plain string with its time to live kept."""
        key, text = f"vcon:{document['uuid']}", json.dumps(document)
        if self._as_string:
            self._client.set(key, text, keepttl=True)
        else:
            self._client.execute_command("JSON.SET", key, "$", text)

    def read(self, vcon_uuid: str) -> dict[str, Any] | None:
        """`JSON.GET`, or GET; raises what Redis answers if the key has the other form."""
        key = f"vcon:{vcon_uuid}"
        if self._as_string:
            text = self._client.get(key)
        else:
            text = self._client.execute_command("JSON.GET", key)
        return json.loads(text) if text else None

    def ingest(self, vcon: Mapping[str, Any], lists: Sequence[str] = ()) -> str:
        """POST /vcon; the uuid. Each command is a round trip of its own."""
        document = {"subject": None, "redacted": {}, "appended": None, "group": [], **vcon}
        vcon_uuid = str(document["uuid"])
        self.store(document)
        self._client.expire(f"vcon:{vcon_uuid}", VCON_EXPIRY)
        created = int(datetime.fromisoformat(str(document["created_at"])).timestamp())
        self._client.zadd("vcons", {f"vcon:{vcon_uuid}": created})
        self.index(document)
        for name in lists:
            context = f"context:{name}:{vcon_uuid}"
            self._client.rpush(context, json.dumps(CONTEXT))
            self._client.expire(context, CONTEXT_EXPIRY)
            self._client.rpush(name, vcon_uuid)
        return vcon_uuid

    def index(self, document: Mapping[str, Any]) -> None:
        """The search index, for a day."""
        for party in document.get("parties", ()):
            for kind in ("tel", "mailto", "name"):
                if value := party.get(kind):
                    self._client.sadd(f"{kind}:{value}", document["uuid"])
                    self._client.expire(f"{kind}:{value}", INDEX_EXPIRY)

    def cache(self, document: Mapping[str, Any]) -> None:
        """A read that found the vCon in a storage: the member of the sorted set has no prefix."""
        self.store(document)
        self._client.expire(f"vcon:{document['uuid']}", VCON_EXPIRY)
        created = int(datetime.fromisoformat(str(document["created_at"])).timestamp())
        self._client.zadd("vcons", {str(document["uuid"]): created})

    def work(self, names: Sequence[str], link: Link, egress: Sequence[str] = ()) -> str | None:
        """One vCon through a chain of one link; its uuid, None if nothing came.

        What fails is a dead letter of the list it came from.
        """
        taken: Any = self._client.blpop(list(names), timeout=1)
        if taken is None:
            return None
        name, vcon_uuid = taken
        self._client.lpop(f"context:{name}:{vcon_uuid}")
        try:
            document = self.read(vcon_uuid)
            assert document is not None
            link(document)
            self.store(document)
        except Exception:
            self.bury(name, vcon_uuid)
        else:
            for each in egress:
                self._client.rpush(each, vcon_uuid)
        return str(vcon_uuid)

    def bury(self, name: str, vcon_uuid: str) -> None:
        """A dead letter."""
        self._client.rpush(f"DLQ:{name}", vcon_uuid)
        self._client.expire(f"vcon:{vcon_uuid}", DEAD_EXPIRY)

    def bury_storage(self, storage: str, vcon_uuid: str) -> None:
        """A dead letter of a storage, of its releases since September 2026."""
        self._client.rpush(f"DLQ:storage:{storage}", vcon_uuid)
        self._client.expire(f"vcon:{vcon_uuid}", DEAD_EXPIRY)

    def reprocess(self, name: str, count: int = 1000) -> int:
        """POST /dlq/reprocess; how many were moved."""
        moved = 0
        while moved < count and (vcon_uuid := self._client.lpop(f"DLQ:{name}")):
            self._client.rpush(name, str(vcon_uuid))
            moved += 1
        return moved

    def egress(self, name: str, limit: int) -> list[str]:
        """GET /vcon/egress."""
        popped = [self._client.rpop(name) for _ in range(limit)]
        return [str(each) for each in popped if each]
