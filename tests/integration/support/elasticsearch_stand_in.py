"""A local server in the place of Elasticsearch: it keeps documents and answers by its rules.

Reading by id sees what was written last; a query sees what was there at the last refresh.
"""

from __future__ import annotations

import json
from collections import Counter
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.integration.support.http_stand_in import Refused, StandIn

type Place = tuple[str, str]


class ElasticStandIn(StandIn):
    """Its documents by index and id, and those that a query sees."""

    def __init__(self) -> None:
        super().__init__(headers={"x-elastic-product": "Elasticsearch"})
        self.documents: dict[Place, dict[str, Any]] = {}
        self.seen: dict[Place, dict[str, Any]] = {}
        self.versions: Counter[Place] = Counter()
        self._lock = Lock()

    def reply(self, path: str, body: bytes) -> bytes:
        """What a request is answered with."""
        with self._lock:
            return self._replied(path, body)

    def _replied(self, path: str, body: bytes) -> bytes:
        index, _, operation = urlsplit(path).path.lstrip("/").rpartition("/")
        if operation == "_bulk":
            answer: Any = self._bulk(body)
        elif operation == "_refresh":
            self.seen, answer = dict(self.documents), {}
        elif operation == "_delete_by_query":
            answer = {"deleted": self._delete(index, json.loads(body))}
        elif operation == "_alias":
            answer = {name: {"aliases": {}} for name in self._named(unquote(index))}
        elif index == "_resolve/index":
            found = [{"name": name} for name in self._named(unquote(operation))]
            answer = {"indices": found, "aliases": [], "data_streams": []}
        elif body:
            answer = self._written((index.removesuffix("/_doc"), operation), path, body)
        else:
            answer = self._found((index.removesuffix("/_doc"), operation))
        return json.dumps(answer).encode()

    def _named(self, patterns: str) -> list[str]:
        """The indices that one of the patterns names."""
        names = sorted({name for name, _ in self.documents})
        return [name for name in names if _fits(name, patterns)]

    def _found(self, place: Place) -> dict[str, Any]:
        if place not in self.documents:
            return {"found": False}
        version = {"_seq_no": self.versions[place], "_primary_term": 1}
        return {"found": True, "_source": self.documents[place], **version}

    def _written(self, place: Place, path: str, body: bytes) -> dict[str, Any]:
        """One document, if it is as the request may say: not there, or of this number."""
        wanted = parse_qs(urlsplit(path).query)
        number = [str(self.versions[place])]
        is_new = place not in self.documents
        if "op_type" in wanted and not is_new:
            raise Refused(409)
        if "if_seq_no" in wanted and (is_new or wanted["if_seq_no"] != number):
            raise Refused(409)
        self.documents[place] = json.loads(body)
        self.versions[place] += 1
        return {"result": "created" if is_new else "updated"}

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
        [matched] = query["query"].values()
        wanted = matched["vcon_id"]
        found = [
            place
            for place, part in self.seen.items()
            if _fits(place[0], unquote(pattern)) and part.get("vcon_id") == wanted
        ]
        for place in found:
            self.documents.pop(place, None)
        return len(found)


def _fits(name: str, patterns: str) -> bool:
    return any(fnmatchcase(name, each) for each in patterns.split(","))
