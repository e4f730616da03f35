"""What a JSON schema says about one value, also through `$ref`, `allOf`, `anyOf` and `oneOf`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

_COMBINED = ("allOf", "anyOf", "oneOf")


@dataclass(frozen=True)
class Schema:
    """The subschemas that apply to one value, references resolved."""

    root: Mapping[str, Any]
    parts: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, whole: Mapping[str, Any]) -> "Schema":
        """The schema of a whole configuration."""
        return cls(whole, _parts([whole], whole)) if whole else _NOTHING

    def at(self, key: object) -> "Schema":
        """The schema of a property, or of an item where the key is a number."""
        if not self.parts:
            return self
        return replace(self, parts=_parts((_inner(each, key) for each in self.parts), self.root))

    @property
    def types(self) -> list[str]:
        """The types that the value may have; `string` where none is given."""
        told = [each["type"] for each in self.parts if "type" in each]
        lists = (each if isinstance(each, list) else [each] for each in told)
        return list(chain.from_iterable(lists)) or ["string"]

    @property
    def is_secret(self) -> bool:
        """Whether any subschema marks the value as a secret."""
        for each in self.parts:  # mostly none: a flow's inputs have no schema
            if each.get("format") == "password" or each.get("writeOnly") is True:
                return True
        return False


_NOTHING = Schema({}, ())


def _parts(given: Iterable[Any], root: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    waiting, found = list(given), list[Mapping[str, Any]]()
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, Mapping) and each and not any(each is known for known in found):
            found.append(each)
            waiting += (one for word in _COMBINED for one in each.get(word, ()))
            waiting.append(_referred(str(each.get("$ref", "")), root))
    return tuple(found)


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    """The target of `#/$defs/name`; None for a reference to another document."""
    document, _, way = reference.partition("#")
    if document or not way:
        return None
    found: Any = root
    for step in way.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _inner(schema: Mapping[str, Any], key: object) -> Any:
    properties = schema.get("properties")
    if isinstance(key, int):
        return schema.get("items")
    if isinstance(properties, Mapping) and key in properties:
        return properties[key]
    return schema.get("additionalProperties")
