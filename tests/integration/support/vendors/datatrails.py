"""DataTrails in miniature: tokens, assets, their events, and events without an asset.

Its rules are those of the API's reference (`assets`, `asset-events`, `events`): headers, members,
types, the query by attributes, and the search with at most 50 results a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from tests.canaries import canary
from tests.integration.support.http_stand_in import Refused, Request, StandIn, stand_in

CLIENT = "client-of-the-tests"
SECRET = canary("secret-of-the-datatrails-client-0f3a")
MOST_RESULTS = 50
LONGEST_PAGE = 500
_TRAIL = re.compile(r"trails/any\(t: t eq '((?:[^']|'')*)'\)")


def refuse(status: int, message: str) -> Refused:
    """An error in the API's form."""
    return Refused(status, {"error": "refused", "code": status, "message": message, "details": []})


class DataTrails(StandIn):
    """The service; its records are in the order in which they were made."""

    def __init__(self) -> None:
        super().__init__()
        self.assets: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.free_events: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        """Those that are valid; a test revokes them."""
        self.issued = 0
        self.expires_in: Any = 3600
        self.lost = 0
        """How many answers to assets and events are lost after these are recorded."""
        self._lock = Lock()

    @property
    def options(self) -> dict[str, Any]:
        """The least options of the link."""
        endpoint = f"{self.url}/iam/v1/appidp/token"
        access = {"client_id": CLIENT, "client_secret": SECRET, "token_endpoint": endpoint}
        return {"api_url": self.url, "auth": {"type": "OIDC-client-credentials", **access}}

    def reply_to(self, request: Request) -> bytes:
        """What a request is answered with."""
        path = urlsplit(request.path).path
        with self._lock:
            if path == "/iam/v1/appidp/token":
                raise Refused(200, self._token(request))
            _check_head(request, self.tokens)
            raise Refused(200, self._answered(request, path))

    def counts(self) -> tuple[int, int, int]:
        """How many assets, events and events without an asset there are."""
        return len(self.assets), len(self.events), len(self.free_events)

    def _token(self, request: Request) -> dict[str, Any]:
        if request.headers.get("content-type") != "application/x-www-form-urlencoded":
            raise refuse(400, "invalid_request")
        form = dict(parse_qsl(request.body.decode()))
        if form.pop("grant_type", "") != "client_credentials":
            raise refuse(400, "unsupported_grant_type")
        if form != {"client_id": CLIENT, "client_secret": SECRET}:
            raise refuse(401, "invalid_client")
        self.issued += 1
        self.tokens.append(canary(f"token-of-datatrails-{self.issued}-{uuid4()}"))
        answer = {"access_token": self.tokens[-1], "token_type": "Bearer"}
        return {**answer, "expires_in": self.expires_in}

    def _answered(self, request: Request, path: str) -> dict[str, Any]:
        place = (request.method, path)
        if place == ("POST", "/v2/assets"):
            return self._add_asset(request.json)
        if place == ("GET", "/v2/assets"):
            return {"assets": _matching(request, self.assets, "attributes")}
        if place == ("GET", "/v2/assets/-/events"):
            return {"events": _matching(request, self.events, "event_attributes")}
        if place == ("POST", "/v1/events"):
            return self._add_free_event(request.json)
        if place == ("POST", "/v1/events/search"):
            return self._searched(request.json)
        if found := re.fullmatch(r"/v2/(assets/[^/]+)/events", path):
            return self._add_event(found[1], request.json)
        raise refuse(404, "no such resource")

    def _add_asset(self, asset: Any) -> dict[str, Any]:
        _check_members(asset, {"behaviours", "attributes", "public"})
        if asset["behaviours"] != ["RecordEvidence"] or not isinstance(asset["public"], bool):
            raise refuse(400, "behaviours or public are wrong")
        _check_attributes(asset["attributes"])
        self.assets.append({"identity": f"assets/{uuid4()}", "tracked": "TRACKED", **asset})
        self._lose()
        return self.assets[-1]

    def _add_event(self, asset: str, event: Any) -> dict[str, Any]:
        if asset not in [each["identity"] for each in self.assets]:
            raise refuse(404, "asset not found")
        _check_members(event, {"operation", "behaviour", "event_attributes"})
        if (event["operation"], event["behaviour"]) != ("Record", "RecordEvidence"):
            raise refuse(400, "operation or behaviour are wrong")
        _check_attributes(event["event_attributes"])
        identity = f"{asset}/events/{uuid4()}"
        self.events.append({"identity": identity, "asset_identity": asset, **event})
        self._lose()
        return self.events[-1]

    def _add_free_event(self, event: Any) -> dict[str, Any]:
        _check_members(event, {"attributes", "trails"})
        trails = event["trails"]
        if not isinstance(trails, list) or not all(isinstance(each, str) for each in trails):
            raise refuse(400, "trails are a list of texts")
        _check_attributes(event["attributes"])
        self.free_events.append({"identity": f"events/{uuid4()}", **event})
        self._lose()
        return self.free_events[-1]

    def _lose(self) -> None:
        if self.lost:
            self.lost -= 1
            raise refuse(503, "lost")

    def _searched(self, search: Any) -> dict[str, Any]:
        _check_members(search, {"filter", "top", "skip"})
        trail = _TRAIL.fullmatch(search["filter"])
        if trail is None or not 0 < search["top"] <= MOST_RESULTS or search["skip"] < 0:
            raise refuse(400, f"a filter by trail, and at most {MOST_RESULTS} results")
        wanted = trail[1].replace("''", "'")
        found = [each for each in self.free_events if wanted in each["trails"]]
        return {"events": found[search["skip"] :][: search["top"]]}


def _check_head(request: Request, tokens: list[str]) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or token not in tokens:
        raise refuse(401, "the token is not valid")
    if not request.headers.get("datatrails-user-agent", "").startswith("oss/conserverlink/"):
        raise refuse(400, "DataTrails-User-Agent is missing")
    if not request.headers.get("datatrails-partner-id"):
        raise refuse(400, "DataTrails-Partner-ID is missing")
    if request.method == "POST" and request.headers.get("content-type") != "application/json":
        raise refuse(415, "the body must be JSON")


def _check_members(body: Any, members: set[str]) -> None:
    if not isinstance(body, dict) or body.keys() != members:
        raise refuse(400, f"the members must be {sorted(members)}")


def _check_attributes(attributes: Any) -> None:
    if not isinstance(attributes, dict) or not attributes:
        raise refuse(400, "attributes are an object")
    if not all(isinstance(value, str | dict | list) for value in attributes.values()):
        raise refuse(400, "the value of an attribute is a text, an object or a list")


def _matching(request: Request, records: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Those whose attributes are as the query says; `*` is any value."""
    query = dict(parse_qsl(urlsplit(request.path).query))
    size = int(query.pop("page_size", LONGEST_PAGE))
    wanted = {key.removeprefix(f"{name}."): value for key, value in query.items()}
    if not 0 < size <= LONGEST_PAGE or not all(key.startswith(f"{name}.") for key in query):
        raise refuse(400, "the query is not known")
    found = [
        each
        for each in records
        if all(
            key in each[name] and value in ("*", each[name][key]) for key, value in wanted.items()
        )
    ]
    return found[-size:][::-1]  # the newest first


@contextmanager
def datatrails() -> Iterator[DataTrails]:
    """A running service without any record."""
    with stand_in(DataTrails()) as service:
        yield service
