"""Programs that read from vcon-server, manage it, and test it under load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.integration.http_api.clients.calls import Answer, Parameters, Send
from tests.integration.http_api.clients.senders import HEADER


class RefusedError(Exception):
    """The status is none that the program takes for a success."""


@dataclass
class Program:
    """A program with an address and a token; requests with a status that is none of `wanted` fail.

    The statuses of a success are 2xx unless `wanted` has them.
    """

    url: str
    token: str
    send: Send

    def ask(
        self,
        method: str,
        path: str,
        params: Parameters = None,
        *,
        wanted: Sequence[int] = range(200, 300),
        token: str | None = None,
        **arguments: Any,
    ) -> Answer:
        """One request with the token, or with another one."""
        headers = {HEADER: token or self.token}
        url = f"{self.url}/{path}"
        answer = self.send(method, url, params=params, headers=headers, timeout=30, **arguments)
        if answer.status not in wanted:
            raise RefusedError(f"{method} {path}: {answer.status} {answer.content!r}")
        return answer


class DotNet(Program):
    """The .NET library: a method for each endpoint, with paths relative to its base address.

    It reads the answers of four endpoints as objects, which vcon-server has never sent.
    """

    def post(self, vcon: dict[str, Any], *lists: str) -> Any:
        """The vCon in the answer."""
        return self.ask(
            "POST", "vcon", [("ingress_lists", name) for name in lists], json=vcon
        ).json()

    def submit(self, vcon: dict[str, Any], name: str, key: str) -> None:
        """As a partner."""
        self.ask("POST", "vcon/external-ingress", {"ingress_list": name}, json=vcon, token=key)

    def get(self, vcon_uuid: str) -> Any:
        """One vCon; None if there is none."""
        answer = self.ask("GET", f"vcon/{vcon_uuid}", wanted=(200, 404))
        return answer.json() if answer.status == 200 else None

    def many(self, vcon_uuids: Sequence[str]) -> list[Any]:
        """Several vCons."""
        pairs = [("vcon_uuids", each) for each in vcon_uuids]
        return list(self.ask("GET", "vcons", pairs).json())

    def listed(self, **query: Any) -> list[str]:
        """A page of uuids."""
        return list(self.ask("GET", "vcon", query).json())

    def search(self, **terms: str) -> list[str]:
        """The uuids of vCons with these parties."""
        return list(self.ask("GET", "vcons/search", terms).json())

    def delete(self, vcon_uuid: str) -> None:
        """Delete one vCon."""
        self.ask("DELETE", f"vcon/{vcon_uuid}")

    def queue(self, vcon_uuids: Sequence[str], name: str) -> None:
        """Queue stored vCons."""
        self.ask("POST", "vcon/ingress", {"ingress_list": name}, json=list(vcon_uuids))

    def egress(self, name: str, limit: int) -> list[str]:
        """Take uuids out of an egress list."""
        return list(self.ask("GET", "vcon/egress", {"egress_list": name, "limit": limit}).json())

    def bare(self, method: str, path: str, **query: Any) -> Any:
        """An answer that it fails to read as an object, because it is an array or a number."""
        value = self.ask(method, path, query).json()
        assert not isinstance(value, dict), value
        return value


class Follower(Program):
    """Another vcon-server that takes over results: uuids of an egress list, then each vCon."""

    def pull(self, name: str, limit: int) -> list[dict[str, Any]]:
        """The vCons; one that is not found is left out."""
        query = {"egress_list": name, "limit": limit}
        uuids = self.ask("GET", "vcon/egress", query, wanted=(200,)).json()
        answers = [self.ask("GET", f"vcon/{each}", wanted=(200, 404)) for each in uuids]
        return [answer.json() for answer in answers if answer.status == 200]


class LoadTest(Program):
    """The load test: it changes the configuration, sends vCons, and puts the old one back."""

    def probe(self) -> int:
        """Whether something answers; without a token."""
        return self.send("GET", f"{self.url}/vcon", timeout=60).status

    def configuration(self) -> Any:
        """The configuration, to be changed."""
        return self.ask("GET", "config", wanted=(200,)).json()

    def configure(self, configuration: Any) -> None:
        """Replace it."""
        self.ask("POST", "config", wanted=(200, 204), json=configuration)

    def post(self, vcon: dict[str, Any], name: str) -> str:
        """The uuid that is in the answer."""
        query = {"ingress_lists": name}
        return str(self.ask("POST", "vcon", query, wanted=(200, 201), json=vcon).json()["uuid"])

    def queue(self, vcon_uuid: str, name: str) -> None:
        """Queue it once more."""
        query = {"ingress_list": name}
        self.ask("POST", "vcon/ingress", query, wanted=(200, 201, 204), json=[vcon_uuid])


class Admin(Program):
    """The administration page: what there is, from the configuration; a link to `/docs`."""

    def parts(self) -> dict[str, list[str]]:
        """The names of chains, links and storages."""
        found = self.ask("GET", "config", wanted=(200,)).json()
        return {kind: sorted(found[kind]) for kind in ("chains", "links", "storages")}

    def documentation(self) -> bytes:
        """The page behind the link, which a browser opens without a token."""
        return self.send("GET", f"{self.url}/docs", timeout=60).content
