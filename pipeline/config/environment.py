"""How values are written in a configuration: variables, and words that YAML reads differently.

`${NAME}` and `${env.NAME}` are filled from the environment that is passed in; `${NAME:-text}` uses
the text when the variable is unset or empty; `$${` stands for `${`. Keys are not filled. A missing
variable is collected, not raised: it matters only if something enabled uses the value.

YAML 1.1 (PyYAML) reads `no`, `1.10`, `0123` and `22:30` without quotes as false, 1.1, 83 and 1350;
dates, `~` and empty values have types of their own, too. Mostly that is wanted. Where a text is
wanted, the mistake would show only in results, so the place and text of each such value are
recorded (`Written`), and the reader of the value decides.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from core.observability.redaction import names_a_secret
from core.settings import Settings

type Where = tuple[str | int, ...]
"""A place in the document: keys and list positions from the top."""

_VARIABLE = re.compile(
    r"""
      \$\$\{                                  # escaped
    | (?P<later> \$\{ (?:vcon|result|link) (?=[.\[]) )  # filled with each vCon, by its link
    | \$\{ (?:env\.)? (?P<name> [A-Za-z_][A-Za-z0-9_]* )
      (?: :- (?P<default> (?:[^}$]|\$(?!\{))*+ ) )? \}
    | (?P<stray> \$\{ )                       # opens something that is no variable
    """,
    re.VERBOSE,
)


class Unfilled(str):
    """A value whose variable is missing; that is reported, so readers treat it as absent."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """A variable that a value needs and the environment lacks."""

    where: Where
    name: str


@dataclass(frozen=True, slots=True)
class Filled:
    """A variable whose value was filled in, and the nearest key above that place."""

    name: str
    key: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Environment:
    """Fills values; records filled and missing variables, and `${` that begins no variable."""

    variables: Mapping[str, str]
    missing: list[Missing] = field(default_factory=list)
    filled: set[Filled] = field(default_factory=set)
    strays: list[Where] = field(default_factory=list)

    def fill(self, value: object, where: Where = ()) -> object:
        """A copy of the value with its variables filled."""
        match value:
            case str():
                return self._text(value, where)
            case Mapping():
                return {key: self.fill(item, (*where, key)) for key, item in value.items()}
            case list():
                return [self.fill(item, (*where, place)) for place, item in enumerate(value)]
            case _:
                return value

    def _text(self, text: str, where: Where) -> str:
        if "${" not in text:
            return text
        before = len(self.missing)
        filled = _VARIABLE.sub(lambda match: self._variable(match, where), text)
        return filled if len(self.missing) == before else Unfilled(filled)

    def _variable(self, match: re.Match[str], where: Where) -> str:
        if match["later"]:
            return match[0]
        if match["stray"]:
            self.strays.append(where)
            return match[0]
        if not match["name"]:
            return "${"
        return self._value(match["name"], match["default"], where) or ""

    def _value(self, name: str, default: str | None, where: Where) -> str | None:
        value = self.variables.get(name)
        if value:
            key = next((str(part) for part in reversed(where) if isinstance(part, str)), "")
            self.filled.add(Filled(name, key, value))
        if default is not None:
            return value or default
        if value is None:
            self.missing.append(Missing(where, name))
        return value


_NAMED = re.compile(rb"\$\{(?:env\.)?([A-Za-z_][A-Za-z0-9_]*)(?=\}|:-)")


def variables_named_in(content: bytes) -> frozenset[str]:
    """Every NAME of `${NAME}`, `${env.NAME}` and `${NAME:-text}` in a file's bytes, unparsed."""
    return frozenset(name.decode() for name in _NAMED.findall(content))


def variables_of_flows(folder: Path) -> frozenset[str]:
    """The variables that the flows in a folder name; unreadable files are skipped."""
    found: frozenset[str] = frozenset()
    for path in (*folder.glob("**/*.yml"), *folder.glob("**/*.yaml")):
        with contextlib.suppress(OSError):  # reported when the flow is run
            found |= variables_named_in(path.read_bytes())
    return found


type Written = Mapping[Where, str]
"""The text in the file, by place, of each value that YAML read as something else."""

MOST = 20_000
"""The most values checked: nested aliases can expand a small file to a very large document."""

_OTHERWISE = re.compile(
    r"[-+]?0[0-7_]+|[-+]?0[bx][0-9a-f_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+.*", re.IGNORECASE
)
_PREFIX = "tag:yaml.org,2002:"
_NUMBERS = ("int", "float")
_constructor = yaml.constructor.SafeConstructor()
_KINDS = {
    "bool": "true or false",
    "null": "nothing",
    "timestamp": "a date",
    "int": "another number",
    "float": "another number",
}


def turned(root: yaml.Node, document: object) -> dict[Where, str]:
    """The values of a document, composed as `root`, that differ from their text in the file."""
    found: dict[Where, str] = {}
    for count, (where, node, value) in enumerate(_scalars(root, document, (), ())):
        if count >= MOST:
            break
        kind = node.tag.removeprefix(_PREFIX)
        if kind in _KINDS and not (kind in _NUMBERS and str(value) == node.value):
            found[where] = node.value
    return found


def _scalars(
    node: yaml.Node, value: object, where: Where, above: tuple[int, ...]
) -> Iterator[tuple[Where, yaml.ScalarNode, object]]:
    """Every scalar with its place; a node that contains itself is not entered again."""
    if isinstance(node, yaml.ScalarNode):
        yield where, node, value
    elif id(node) not in above:
        yield from _turned_keys(node, where)
        for key, inner, item in _items(node, value):
            yield from _scalars(inner, item, (*where, key), (*above, id(node)))


def _turned_keys(node: yaml.Node, where: Where) -> Iterator[tuple[Where, yaml.ScalarNode, object]]:
    """Keys read as another number than written; their places do not exist in the document."""
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(value := _key(key), int) and str(value) != key.value:
            yield (*where, key.value), key, value


def _items(node: yaml.Node, value: object) -> Iterator[tuple[str | int, yaml.Node, object]]:
    if isinstance(node, yaml.SequenceNode) and isinstance(value, list):
        yield from (
            (place, *pair) for place, pair in enumerate(zip(node.value, value, strict=True))
        )
    elif isinstance(node, yaml.MappingNode) and isinstance(value, Mapping):
        inner = {_key(key): item for key, item in node.value}  # merged ones come first
        yield from ((key, inner[key], item) for key, item in value.items() if key in inner)


def _key(node: yaml.Node) -> object:
    """The key that a node becomes: its text, or a whole number; None for all others."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    if node.tag != f"{_PREFIX}int":
        return node.value
    number: object = _constructor.construct_yaml_int(node)
    return number


def below(written: Written, where: Where) -> dict[Where, str]:
    """The entries below a place, with places relative to it."""
    size = len(where)
    return {at[size:]: text for at, text in written.items() if at[:size] == where and at[size:]}


def is_other_number(text: str) -> bool:
    """Whether YAML 1.1 reads another number than the decimal digits: 0123, 0x10, 22:30."""
    return _OTHERWISE.fullmatch(text) is not None


def is_date(value: object) -> bool:
    """Whether YAML has read a date or a time."""
    return hasattr(value, "isoformat")


def advice(value: object) -> str:
    """The end of a message about a value that must be a text; it does not show the value."""
    if value is None or isinstance(value, bool):
        kind = _KINDS["null" if value is None else "bool"]
    else:
        kind = _KINDS["timestamp" if is_date(value) else "int"]
    return f"YAML reads {kind} here; quote it"


# Which filled values are secrets: all, except where the name of the variable or of the option, or
# the service's own setting, says otherwise, or the value is a number or a plain word. Redacting a
# harmless value is the smaller mistake.

LONG_SEGMENT = 20
"""A part of a URL's path with letters and digits is a secret from this length on."""

_OPEN = re.compile(
    r"(?:^|[_.-])(?:host|hostname|port|address|addr|region|zone|model|bucket|index|database|db"
    r"|schema|table|collection|user|username|name|path|dir|directory|folder|file|filename|env"
    r"|environment|level|mode|timeout|seconds|interval|limit|size|count|version|language|lang"
    r"|format|type|prefix|suffix|topic|queue|list|lists|domain|project|stage|module|enabled)$",
    re.IGNORECASE,
)
_SETTINGS = frozenset(
    name.upper()
    for name, setting in Settings.model_fields.items()
    if "Secret" not in str(setting.annotation)
)
_PLAIN = re.compile(r"[a-z]+|[A-Z]+|[-+]?[\d.]+|")


def secret_values(filled: Iterable[Filled]) -> Iterator[str]:
    """The secrets among these: whole values, and of a URL its password and long path parts."""
    for each in filled:
        if names_a_secret(each.name) or names_a_secret(each.key):
            yield each.value
        elif "://" in each.value:
            yield from url_secrets(each.value)
        elif each.name in _SETTINGS:
            continue
        elif not (_OPEN.search(each.name) or _OPEN.search(each.key) or _is_plain(each.value)):
            yield each.value


def _is_plain(value: str) -> bool:
    return _PLAIN.fullmatch(value) is not None


def url_secrets(url: str) -> Iterator[str]:
    """The password and the long path parts of a URL; all of a text that is none."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:  # not a URL
        yield url
        return
    yield from (text for text in (password,) if text)
    yield from (part for part in parts.path.split("/") if _is_long(part))


def _is_long(part: str) -> bool:
    letters, digits = any(map(str.isalpha, part)), any(map(str.isdigit, part))
    return len(part) >= LONG_SEGMENT and letters and digits
