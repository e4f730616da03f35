"""Reading a document key by key: problems are collected with their paths, and reading goes on."""

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.config.environment import Unfilled, Where, Written, advice, is_other_number

CUTOFF = 0.75
"""The least similarity of two keys, by `difflib`, at which one is suggested for the other."""
OLDER = ("ingress-lists", "egress-lists")
"""Keys of links in vcon-server's example, which mean nothing there either."""
FREE = "x-"
"""Keys with this prefix are the operator's own, for example anchors for YAML aliases."""
NONE = "none"
"""The text that removes a limit; null counts as absent."""


@dataclass(frozen=True, slots=True)
class Kind[T]:
    """A kind of value: its check, and its name in a message."""

    adapter: TypeAdapter[T]
    wanted: str


TEXT = Kind(TypeAdapter(Annotated[str, Field(strict=True, min_length=1)]), "a text, not empty")
SWITCH = Kind(TypeAdapter(bool), "true or false (1 or 0)")
SECONDS: Kind[float | None] = Kind(
    TypeAdapter(Annotated[float, Field(gt=0, allow_inf_nan=False)]), "a number of seconds above 0"
)
RETRIES = Kind(TypeAdapter(Annotated[int, Field(ge=0)]), "a whole number, 0 or more")
WEIGHT = Kind(TypeAdapter(Annotated[int, Field(ge=1, le=100)]), "a whole number from 1 to 100")
ON_BROKEN: Kind[Literal["refuse", "disable"]] = Kind(
    TypeAdapter(Literal["refuse", "disable"]), "refuse or disable"
)
ATTEMPTS = Kind(TypeAdapter(Annotated[int, Field(ge=1)]), "a whole number, 1 or more")


def meant(name: str, known: Iterable[str]) -> str | None:
    """The known key that a misspelt one is close to: `storage`, `Chains`, `ingress`, `pip-name`."""
    plain = {_plain(each): each for each in sorted(known)}
    wanted = _plain(name)
    begun = (each for each in plain if wanted and each.startswith(f"{wanted}_"))
    near = difflib.get_close_matches(wanted, plain, n=1, cutoff=CUTOFF)
    found = next(begun, None) or next(iter(near), None)
    return plain[found] if found else None


def slip_of(name: str, known: Iterable[str]) -> str | None:
    """The known name that differs by one typing mistake, for names chosen by the operator.

    One letter more or less, or two swapped. `calls1` and `calls2` are different names, no mistake.
    """
    return next((each for each in sorted(known) if _one_slip(_plain(name), _plain(each))), None)


def _plain(name: str) -> str:
    return name.strip().casefold().replace("-", "_").replace(" ", "_")


def _one_slip(one: str, other: str) -> bool:
    longer, shorter = sorted((one, other), key=len, reverse=True)
    without = {longer[:at] + longer[at + 1 :] for at, each in enumerate(longer) if each.isalpha()}
    return one == other or shorter in without or shorter in _swapped(longer)


def _swapped(name: str) -> set[str]:
    return {name[:at] + name[at + 1] + name[at] + name[at + 2 :] for at in range(len(name) - 1)}


@dataclass(frozen=True, slots=True)
class Findings:
    """The problems of a document, and notes on it, in the order found.

    `written`: the file's own text of values that YAML read as something else. `strict`: an unknown
    key is a problem.
    """

    found: list[tuple[Where, str]] = field(default_factory=list)
    """The place and the text of each problem."""
    notes: list[str] = field(default_factory=list)
    written: Written = field(default_factory=dict)
    strict: bool = False

    @property
    def problems(self) -> list[str]:
        """Each problem with its place."""
        return [f"{spelled(where)}: {text}" for where, text in self.found]

    def problem(self, where: Where, text: str) -> None:
        """Report something that the operator must change."""
        self.found.append((where, text))

    def note(self, where: Where, text: str) -> None:
        """Report something that is not an error."""
        self.notes.append(f"{spelled(where)}: {text}")

    def unknown(self, where: Where, known: Iterable[str], what: str = "key") -> None:
        """Report a key that nothing reads: a problem if it is close to a known one, else a note."""
        name = str(where[-1])
        if name.startswith(FREE):
            return
        if near := meant(name, known):
            self.problem(where, f"not a known {what}; did you mean {near!r}?")
        elif self.strict:
            self.problem(where, f"not a known {what} (CONFIG_STRICT); known: {', '.join(known)}")
        else:
            self.note(where, f"not a known {what}, ignored")

    def text_wanted(self, where: Where, text: str, value: object) -> None:
        """Report a value that must be a text; `text` is the message."""
        self.problem(where, f"{text}; {advice(value)}" if where in self.written else text)

    def misread(self, where: Where, value: object) -> None:
        """Report a value that YAML read as a kind that is not accepted here."""
        self.problem(where, advice(value))


def spelled(where: Where) -> str:
    """A place as a path: `chains.main.links[2]`."""
    path = ""
    for part in where:
        if isinstance(part, str) and re.fullmatch(r"[\w:-]+", part):
            path += f".{part}" if path else part
        else:
            path += f"[{json.dumps(part, default=str)}]"
    return path or "the configuration"


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known name, else all names."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"


class Section:
    """One mapping of a document. Null, and a key set to null, count as absent."""

    def __init__(self, content: object, where: Where, findings: Findings) -> None:
        self.where = where
        self.findings = findings
        self._is_mapping = content is None or isinstance(content, Mapping)
        self._content = self._mapping(content)
        self._read: set[str] = set()

    def value[T](self, key: str, kind: Kind[T], default: T) -> T:
        """The value of a key, or the default when it is absent or wrong."""
        content = self.raw(key)
        if content is None:
            return default
        where = (*self.where, key)
        try:
            value = kind.adapter.validate_python(content)
        except ValidationError:
            self._wrong(where, kind, content)
            return default
        if is_other_number(written := self.findings.written.get(where, "")):
            self.findings.problem(where, f"YAML reads {written} as {content}; write {content}")
        return value

    def limit(self, key: str) -> float | None:
        """A limit in seconds: infinity for `none`, None where the key is absent."""
        content = self.raw(key)
        if isinstance(content, str) and content.strip().lower() == NONE:
            return math.inf
        return self.value(key, SECONDS, None)

    def _wrong(self, where: Where, kind: Kind[Any], content: object) -> None:
        text = f"must be {kind.wanted}"
        if kind is TEXT:
            self.findings.text_wanted(where, text, content)
        else:
            self.findings.problem(where, text)

    def required[T](self, key: str, kind: Kind[T], default: T) -> T:
        """As `value`, but absence is a problem; reading goes on with the default."""
        if self._is_mapping and self._content.get(key) is None:
            self.findings.problem((*self.where, key), f"is missing; it must be {kind.wanted}")
        return self.value(key, kind, default)

    def section(self, key: str) -> "Section":
        """The mapping below a key; empty when absent or wrong."""
        self._read.add(key)
        return Section(self._content.get(key), (*self.where, key), self.findings)

    def sections(self) -> Iterator[tuple[str, "Section"]]:
        """Each key with the mapping below it."""
        return ((key, self.section(key)) for key in self._content)

    def entries(self, key: str) -> list[tuple[Where, object]]:
        """The elements of the list below a key, with their places."""
        content, where = self.raw(key), (*self.where, key)
        if isinstance(content, list):
            listed = [((*where, place), entry) for place, entry in enumerate(content)]
            return [pair for pair in listed if not isinstance(pair[1], Unfilled)]
        if content is not None:
            self.findings.problem(where, "must be a list")
        return []

    def raw(self, key: str) -> object:
        """The value of a key, unchecked; None where its variable is reported as missing."""
        self._read.add(key)
        content = self._content.get(key)
        return None if isinstance(content, Unfilled) else content

    def options(self, key: str) -> dict[str, Any]:
        """The mapping below a key as a plain dict."""
        return dict(self.section(key)._content)

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def note_unread(self) -> list[str]:
        """Report every key that has not been read; the keys read so far are the known ones.

        Returns those that may be meant for something, in order.
        """
        known, unread = sorted(self._read), [key for key in self._content if key not in self._read]
        for key in unread:
            self.findings.unknown((*self.where, key), known)
        return [key for key in unread if not key.startswith(FREE) and key not in OLDER]

    def _mapping(self, content: object) -> Mapping[str, Any]:
        if content is None or isinstance(content, Unfilled):
            return {}
        if not isinstance(content, Mapping):
            self.findings.problem(self.where, "must be a mapping (keys with values)")
            return {}
        for key in content:
            if not isinstance(key, str):
                self.findings.problem((*self.where, key), "a key must be a text; quote it")
        return {key: item for key, item in content.items() if isinstance(key, str)}
