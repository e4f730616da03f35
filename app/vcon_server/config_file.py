"""config.yml: what this service refuses, ignores, or reads otherwise than vcon-server."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.vcon_server.findings import Finding, Level

AREA = "configuration"
REMEDIES = (
    ("ALLOW_WEAK_KEYS=true", "ALLOW_WEAK_KEYS=true until the partners have longer keys"),
    ("the same key as", "give each list a key of its own, and tell the partner"),
    ("is already read by", "read the list in one chain; vcon-server uses the last in the file"),
    ("which would never end", "write the vCons of this chain to another list"),
    (
        "no link named",
        "there each vCon of the chain becomes a dead letter; correct the name, or disable the "
        "chain alone: on_broken: disable",
    ),
    ("no storage named", "there it is logged and nothing is stored; correct the name"),
    ("the environment has no", "set the variable; vcon-server leaves ${...} as it is"),
)
"""What to do about a problem that the parser reports, by a part of its text."""


def of_problems(problems: Sequence[str], notes: Sequence[str]) -> list[Finding]:
    """What the start of this service would refuse or ignore."""
    found = [_reported("stop", problem) for problem in problems]
    return found + [_reported("note", note) for note in notes if not _is_told(note)]


def _is_told(note: str) -> bool:
    """True for notes of which `of_document` says more."""
    return note.startswith("followers:") or note.endswith(": no enabled chain reads this list")


def _reported(level: Level, text: str) -> Finding:
    place, _, rest = text.partition(": ")
    remedy = next((each for part, each in REMEDIES if part in text), "")
    if not rest:
        place, rest = "config.yml", text
    return Finding(AREA, level, place, rest, remedy)


def of_document(document: Mapping[str, Any], *, any_list: bool = False) -> list[Finding]:
    """What is accepted here and means something else than in vcon-server.

    `any_list`: API_ANY_LIST is on.
    """
    chains = _chains(_mapping(document.get("chains")))
    return [*_followers(document), *chains, *_keys(document, any_list=any_list)]


def _followers(document: Mapping[str, Any]) -> Iterator[Finding]:
    for name, entry in _mapping(document.get("followers")).items():
        url = _mapping(entry).get("url", "the other server")
        yield Finding(
            AREA,
            "warn",
            f"followers.{name}",
            f"other servers are not polled here; vCons of {url} no longer come in",
            "have the other server's chain send them by links.webhook to POST /vcon here",
        )


def _chains(chains: Mapping[str, Any]) -> Iterator[Finding]:
    for name, entry in chains.items():
        chain, path = _mapping(entry), f"chains.{name}"
        yield from _switched_off(path, chain)
        if chain.get("timeout") is not None:
            text = "the run is stopped after this time, and repeated; vcon-server ignores it"
            yield Finding(AREA, "note", f"{path}.timeout", text)
        if chain.get("tracers") is not None:
            text = "only these tracers run for the chain; vcon-server runs all for each chain"
            yield Finding(AREA, "note", f"{path}.tracers", text, f"remove {path}.tracers")
        if any(isinstance(link, Mapping) for link in _list(chain.get("links"))):
            text = "options of a link at its place in the chain work here; there the vCon fails"
            yield Finding(AREA, "note", f"{path}.links", text)
        if not _list(chain.get("ingress_lists")):
            text = "it reads no list: only the action RunChain starts it"
            yield Finding(AREA, "note", path, text, f"{path}.ingress_lists: [...]")


def _switched_off(path: str, chain: Mapping[str, Any]) -> Iterator[Finding]:
    if is_off(chain):
        lists = ", ".join(map(str, _list(chain.get("ingress_lists")))) or "none"
        text = f"vcon-server ignores `enabled` and runs it; here its lists only fill up: {lists}"
        yield Finding(AREA, "warn", path, text, f"{path}.enabled: 1, or stop the producers")


def _chain_entries(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [_mapping(each) for each in _mapping(document.get("chains")).values()]


def is_off(chain: Mapping[str, Any]) -> bool:
    """Whether `enabled` switches a chain off; null and a missing key do not."""
    return str(chain.get("enabled", 1)).lower() in ("0", "false", "no", "off")


def _keys(document: Mapping[str, Any], *, any_list: bool) -> Iterator[Finding]:
    chains = _chain_entries(document)
    read = [each for chain in chains for each in _list(chain.get("ingress_lists"))]
    for name in _mapping(document.get("ingress_auth")):
        if name not in read:
            text = "no chain reads this list: its partners get 503 here; there their vCons wait"
            remedy = f"a chain with ingress_lists: [{name}]"
            if any_list:
                text = "no chain reads this list, in which the vCons of its partners wait"
            else:
                remedy += ", or API_ANY_LIST=true as there"
            yield Finding(AREA, "warn", f"ingress_auth.{name}", text, remedy)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]
