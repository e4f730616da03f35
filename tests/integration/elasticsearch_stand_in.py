"""A local server in the place of Elasticsearch: it keeps documents and answers by its rules.

Reading by id sees what was written last; a query sees what was there at the last refresh.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from tests.integration.http_stand_in import StandIn

type Place = tuple[str, str]


class ElasticStandIn(StandIn):
    """Its documents by index and id, and those that a query sees."""

    def __init__(self) -> None:
        super().__init__(headers={"x-elastic-product": "Elasticsearch"})
        self.documents: dict[Place, dict[str, Any]] = {}
        self.seen: dict[Place, dict[str, Any]] = {}

    def reply(self, path: str, body: bytes) -> bytes:
        """What a request is answered with."""
        index, _, operation = urlsplit(path).path.lstrip("/").rpartition("/")
        if operation == "_bulk":
            answer: Any = self._bulk(body)
        elif operation == "_refresh":
            self.seen, answer = dict(self.documents), {}
        elif operation == "_delete_by_query":
            answer = {"deleted": self._delete(index, json.loads(body))}
        else:
            found = self.documents.get((index.removesuffix("/_doc"), operation))
            answer = {"found": found is not None} | ({"_source": found} if found else {})
        return json.dumps(answer).encode()

    def _bulk(self, body: bytes) -> dict[str, Any]:
        lines, items = iter(body.splitlines()), []
        for line in lines:
            [(kind, where)] = json.loads(line).items()
            place = (where["_index"], where["_id"])
            if kind == "index":
                self.documents[place] = json.loads(next(lines))
            there = kind == "index" or self.documents.pop(place, None) is not None
            items.append({kind: {**where, "status": 200 if there else 404}})
        return {"errors": False, "items": items, "took": 1}

    def _delete(self, pattern: str, query: dict[str, Any]) -> int:
        wanted = query["query"]["match_phrase"]["vcon_id"]
        found = [
            place
            for place, part in self.seen.items()
            if fnmatchcase(place[0], pattern) and part.get("vcon_id") == wanted
        ]
        for place in found:
            self.documents.pop(place, None)
        return len(found)
