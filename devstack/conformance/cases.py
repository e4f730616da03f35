"""What a plugin is checked with: its module, kind, options and what they need around them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

type Kind = Literal["link", "storage", "tracer"]
type Document = dict[str, Any]

KINDS: tuple[Kind, ...] = ("link", "storage", "tracer")
SECTIONS: Mapping[Kind, str] = {"link": "links", "storage": "storages", "tracer": "tracers"}
ROOMS: Mapping[str, Kind] = {"links": "link", "storage": "storage", "tracers": "tracer"}
BESIDE = ("environment", "connections", "flows", "vcon", "direct", "exceptions")
"""What a file may have beside `options`."""

SECRET = re.compile(r"key|token|password|passwd|secret|credential", re.IGNORECASE)
LEAST_LETTERS = 6
"""A shorter value may stand anywhere by chance."""


class CaseError(Exception):
    """The plugin cannot be checked; the message has the cause and what to do."""


@dataclass(frozen=True, slots=True)
class Case:
    """One plugin with its options.

    - `environment`: variables that are set while it runs, such as the address of a vendor.
    - `connections`, `flows`: those sections of `config.yml`, for plugins that use connections.
    - `vcon`: the document that it is run on; without one, a document with something for all.
    - `direct`: options whose places the proxy does not stand before, since their text is signed.
    - `exceptions`: rules that do not concern it as it is set up here, each with the reason.
    """

    module: str
    kind: Kind
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    connections: Mapping[str, Any] = field(default_factory=dict)
    flows: Mapping[str, Any] = field(default_factory=dict)
    vcon: Document | None = None
    direct: tuple[str, ...] = ()
    exceptions: Mapping[str, str] = field(default_factory=dict)


def kind_of(module: str, given: Kind | None) -> Kind | None:
    """The kind that was given or that the name of a built-in plugin has; None: to be found out."""
    return given or ROOMS.get(module.partition(".")[0])


def read_case(module: str, kind: Kind, file: Path | None) -> Case:
    """The case in an options file, in YAML or JSON: the options, or `options` and `BESIDE`.

    Raises:
        CaseError: the file cannot be read, or has no options.
    """
    return case_of(module, kind, _content(file) if file else {}, file)


def case_of(module: str, kind: Kind, content: Mapping[str, Any], file: Path | None = None) -> Case:
    """The case in the content of an options file."""
    if "options" not in content or not content.keys() <= {"options", *BESIDE}:
        return Case(module, kind, content)
    beside = {name: content[name] for name in BESIDE if name in content}
    if isinstance(vcon := beside.get("vcon"), str):
        beside["vcon"] = _content((file.parent if file else Path()) / vcon)
    beside["direct"] = tuple(beside.get("direct") or ())
    return Case(module, kind, content["options"] or {}, **beside)


def _content(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CaseError(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict | None):
        raise CaseError(f"{file} has no mapping of options, but {type(content).__name__}")
    return content or {}


def secret_values(
    options: Mapping[str, Any], known: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str]]:
    """The names and values of secret options: those `known`, and those that are called so."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from secret_values(value, known)
        elif not isinstance(value, str):
            continue
        elif "://" in value:
            if password := urlsplit(value).password:
                yield name, password
        elif len(value) >= LEAST_LETTERS and (name in known or SECRET.search(name)):
            yield name, value
