"""`${NAME}` in the values of a configuration, filled from the environment that is passed in.

`${env.NAME}` is the same; `${NAME:-text}` uses the text when the variable is unset or empty;
`$${` stands for `${`. Keys are left alone. What is missing is collected, not raised, because
whether it matters depends on whether anything uses the value.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
