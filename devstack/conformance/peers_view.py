"""What one call of a plugin did outside of its vCon, as far as the kit can see."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.conformance.kit import Kit
from devstack.conformance.requests import Request, requests


@dataclass(frozen=True, slots=True)
class Outside:
    """Requests over HTTP, other connections, files that are there, keys of Redis that are new.

    `keys`: new keys, without those with the uuid of the vCon.
    """

    requests: tuple[Request, ...]
    connections: tuple[str, ...]
    files: frozenset[str]
    keys: frozenset[str]
    error: str = ""

    def told(self) -> str:
        """In words; "" if there is nothing."""
        parts = [f"{each.method} {each.target}" for each in self.requests]
        parts += [f"a connection to {each}" for each in self.connections if not self.requests]
        parts += [f"the file {Path(each).name}" for each in sorted(self.files)]
        parts += [f"the key {each} of Redis" for each in sorted(self.keys)]
        return ", ".join(list(dict.fromkeys(parts))[:6])

    def beyond(self, other: "Outside") -> str:
        """What this call did that is no repetition of what the other one did, in words."""
        changing = [each for each in self.requests if each.changes]
        new = [each for each in changing if not any(each.repeats(o) for o in other.requests)]
        parts = [f"sent another {each.method} {each.target}" for each in new]
        parts += [f"wrote the file {each}" for each in sorted(self.files - other.files)]
        parts += [f"made the key {each} of Redis" for each in sorted(self.keys - other.keys)]
        return ", ".join(parts[:6])


def look(kit: Kit, document: dict[str, Any]) -> Outside:
    """Call the plugin on a vCon, stored as it was before, and see what it does."""
    main, uuid = kit.main, document["uuid"]
    main.ask("put", document=document)
    before = set(main.ask("keys"))
    kit.proxy.took()
    main.ask("arm")
    ran = main.run(document)
    seen = main.ask("seen")
    new = {key for key in main.ask("keys") if key not in before and uuid not in key}
    return Outside(
        requests=tuple(requests(kit.proxy.took())),
        connections=tuple(f"{host}:{port}" for host, port in seen["peers"]),
        files=frozenset(each for each in seen["written"] if Path(each).exists()),
        keys=frozenset(new),
        error=ran.error,
    )
