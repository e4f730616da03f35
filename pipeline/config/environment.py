"""`${NAME}` in the values of a configuration, filled from the environment that is passed in.

`${env.NAME}` is the same; `${NAME:-text}` uses the text when the variable is unset or empty;
`$${` stands for `${`. Keys are left alone. What is missing is collected, not raised, because
whether it matters depends on whether anything uses the value.
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

# The variables that the text of a configuration or of a flow names, found without reading it.

_NAMED = re.compile(rb"\$\{(?:env\.)?([A-Za-z_][A-Za-z0-9_]*)(?=\}|:-)")


def variables_named_in(content: bytes) -> frozenset[str]:
    """Every NAME of `${NAME}`, `${env.NAME}` and `${NAME:-text}` in a file."""
    return frozenset(name.decode() for name in _NAMED.findall(content))


def variables_of_flows(folder: Path) -> frozenset[str]:
    """The variables that the flows in a folder name, as they are now."""
    found: frozenset[str] = frozenset()
    for path in (*folder.glob("**/*.yml"), *folder.glob("**/*.yaml")):
        with contextlib.suppress(OSError):  # it is told of when it is run
            found |= variables_named_in(path.read_bytes())
    return found


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
    """A value with a variable that is missing: reported already, so nobody need judge it again."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """A variable that a value wants and the environment does not have."""

    where: Where
    name: str


@dataclass(frozen=True, slots=True)
class Filled:
    """A variable whose value stands in the configuration, and the key of that place."""

    name: str
    key: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Environment:
    """Fills values, and remembers what was filled and missing, and where `${` is no variable."""

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


# Where YAML 1.1 turned a word of a file into something else: `no`, `1.10`, `0123`, `22:30`.
#
# PyYAML reads those without quotes as false, 1.1, 83 and 1350; a date, `~` and nothing at all have
# values of their own, too. Most of that is meant so. Where a text is wanted it is a mistake that
# shows only in what is written later, so the place of each such word is kept beside the document.

type Written = Mapping[Where, str]
"""What stands in the file, by place, for each value that YAML has turned into something else."""

MOST = 20_000
"""Places that are looked at: aliases inside aliases can make a small file a very large document."""

_OTHERWISE = re.compile(
    r"[-+]?0[0-7_]+|[-+]?0[bx][0-9a-f_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+.*", re.IGNORECASE
)
_PREFIX = "tag:yaml.org,2002:"
_NUMBERS = ("int", "float")
_constructor = yaml.constructor.SafeConstructor()
_CALLED = {
    "bool": "true or false",
    "null": "nothing",
    "timestamp": "a date",
    "int": "another number",
    "float": "another number",
}


def turned(root: yaml.Node, document: object) -> dict[Where, str]:
    """The places of a document, composed as `root`, whose text is not what the value says."""
    found: dict[Where, str] = {}
    for count, (where, node, value) in enumerate(_scalars(root, document, (), ())):
        if count >= MOST:
            break
        kind = node.tag.removeprefix(_PREFIX)
        if kind in _CALLED and not (kind in _NUMBERS and str(value) == node.value):
            found[where] = node.value
    return found


def _scalars(
    node: yaml.Node, value: object, where: Where, above: tuple[int, ...]
) -> Iterator[tuple[Where, yaml.ScalarNode, object]]:
    """Every scalar with its place; a node inside itself is left out."""
    if isinstance(node, yaml.ScalarNode):
        yield where, node, value
    elif id(node) not in above:
        yield from _turned_keys(node, where)
        for key, inner, item in _items(node, value):
            yield from _scalars(inner, item, (*where, key), (*above, id(node)))


def _turned_keys(node: yaml.Node, where: Where) -> Iterator[tuple[Where, yaml.ScalarNode, object]]:
    """Keys that are another number than their digits say, as places that the document has not."""
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
    """The places below one, from there on."""
    size = len(where)
    return {at[size:]: text for at, text in written.items() if at[:size] == where and at[size:]}


def is_other_number(text: str) -> bool:
    """Whether YAML 1.1 reads a number here that the digits do not say: 0123, 0x10, 22:30."""
    return _OTHERWISE.fullmatch(text) is not None


def is_date(value: object) -> bool:
    """Whether YAML has made a date or a time of it."""
    return hasattr(value, "isoformat")


def advice(value: object) -> str:
    """What to do about a value that was meant as a text; the value itself may be a secret."""
    if value is None or isinstance(value, bool):
        called = _CALLED["null" if value is None else "bool"]
    else:
        called = _CALLED["timestamp" if is_date(value) else "int"]
    return f"YAML reads {called} here; quote it"


# Which values that `${NAME}` has brought into the configuration are secrets.
#
# Everything is, unless the name of the variable or of the option says that it is none, or it is a
# setting of the service that is none, or the value is a number or a plain word: of two mistakes, a
# log line with `[redacted]` in it does less harm.

LONG_SEGMENT = 20
"""A part of a URL's path that is as long as this, with letters and digits, is a secret, too."""

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
    """The secrets among these: whole values, and of a URL its parts that let someone in."""
    for each in filled:
        if names_a_secret(each.name) or names_a_secret(each.key):
            yield each.value
        elif "://" in each.value:
            yield from _in_url(each.value)
        elif each.name in _SETTINGS:
            continue
        elif not (_OPEN.search(each.name) or _OPEN.search(each.key) or _is_plain(each.value)):
            yield each.value


def _is_plain(value: str) -> bool:
    return _PLAIN.fullmatch(value) is not None


def _in_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:  # no URL as others have it
        yield url
        return
    yield from (text for text in (password,) if text)
    yield from (part for part in parts.path.split("/") if _is_long(part))


def _is_long(part: str) -> bool:
    letters, digits = any(map(str.isalpha, part)), any(map(str.isdigit, part))
    return len(part) >= LONG_SEGMENT and letters and digits
