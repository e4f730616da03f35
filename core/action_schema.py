"""The base class of actions and events: named fields with descriptions, validated by Pydantic."""

import json
from abc import ABC
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


type Schema = Mapping[str, Any]

_REFERENCE = "#/$defs/"


def describe_fields(schema: Schema, secret: Collection[str] = ()) -> dict[str, Any]:
    """The type, description and default of each field, from Pydantic's JSON schema.

    A field whose type allows null may be omitted and is then null; if it is required nevertheless,
    it has `"required": true`. A field with a default that is not published (a secret one, or one
    made for each request) has `"optional": true`. Nested models list their fields likewise.
    """
    return _Describer(schema.get("$defs", {})).fields(schema, secret)


class _Describer:
    """Describes the parts of one schema, with the definitions that they refer to."""

    def __init__(self, definitions: Mapping[str, Schema], seen: frozenset[str] = frozenset()):
        self._definitions = definitions
        self._seen = seen

    def fields(self, model: Schema, secret: Collection[str] = ()) -> dict[str, Any]:
        model = self._resolved(model)
        required = model.get("required", ())
        return {
            name: self._field(field, required=name in required, secret=name in secret)
            for name, field in model.get("properties", {}).items()
        }

    def _field(self, field: Schema, *, required: bool, secret: bool) -> dict[str, Any]:
        described: dict[str, Any] = {"type": self.type_name(field)}
        if "description" in field:
            described["description"] = field["description"]
        nullable = "null" in described["type"].split(" | ")
        if required:
            described |= {"required": True} if nullable else {}
        elif "default" not in field or secret or _is_secret(field):
            described["optional"] = True
        elif not (nullable and field["default"] is None):
            described["default"] = field["default"]
        if models := list(self._models(field)):
            described["fields"] = models[0] if len(models) == 1 else models
        return described

    def type_name(self, schema: Schema) -> str:
        """A type such as `string | null`, `list of integer`, `"a" | "b"`."""
        schema = self._resolved(schema)
        if choices := _choices(schema):
            return " | ".join(dict.fromkeys(map(self.type_name, choices)))
        if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
            return " | ".join(json.dumps(value, ensure_ascii=False) for value in values)
        if items := schema.get("prefixItems") or schema.get("items"):
            inner = self.type_name({"anyOf": items} if isinstance(items, list) else items)
            return f"list of ({inner})" if " | " in inner else f"list of {inner}"
        return str(schema.get("type", "any"))

    def _models(self, schema: Schema) -> Iterator[dict[str, Any]]:
        """The fields of each model that a value may hold, except of a model within itself."""
        name = schema.get("$ref", "")
        if name in self._seen:
            return
        inside = _Describer(self._definitions, self._seen | {name}) if name else self
        schema = self._resolved(schema)
        if "properties" in schema:
            yield inside.fields(schema)
        for part in _parts(schema):
            yield from inside._models(part)

    def _resolved(self, schema: Schema) -> Schema:
        if "$ref" not in schema:
            return schema
        return self._definitions[schema["$ref"].removeprefix(_REFERENCE)]


def _choices(schema: Schema) -> list[Schema]:
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())]


def _parts(schema: Schema) -> list[Schema]:
    """The schemas one level deeper, without the fields of a model."""
    single = (schema.get("items"), schema.get("additionalProperties"))
    deeper = [*_choices(schema), *schema.get("prefixItems", ()), *single]
    return [part for part in deeper if isinstance(part, Mapping)]


def _is_secret(schema: Schema) -> bool:
    return bool(schema.get("writeOnly")) or any(map(_is_secret, _choices(schema)))


_COLLECTIONS = {"list", "tuple", "set", "frozenset"}


def _stop_at_first_error(schema: object) -> None:
    """Set `fail_fast` for each collection in a core schema of Pydantic."""
    if isinstance(schema, dict):
        if schema.get("type") in _COLLECTIONS and "items_schema" in schema:
            schema["fail_fast"] = True
        schema = list(schema.values())
    if isinstance(schema, list | tuple):
        for part in schema:
            _stop_at_first_error(part)


class ActionSchema(BaseModel, ABC):
    """Fields with types and descriptions; `discriminator` is the name used by callers."""

    model_config = ConfigDict(extra="forbid")

    secret_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields whose values are never logged, returned in errors or recorded."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> "CoreSchema":
        """Make the first invalid element of a collection end the validation of that collection.

        Pydantic would report each of them, at 800 bytes each.
        """
        schema = handler(source)
        _stop_at_first_error(schema)
        return schema

    @classmethod
    def discriminator(cls) -> str:
        """The name by which callers select this class; by default the class name."""
        return cls.__name__

    @classmethod
    def description(cls) -> str:
        """One line for people, published to the Plugboard.

        It is the first paragraph of the class's docstring without its full stop; empty without a
        docstring.
        """
        paragraph, _, _ = (cls.__doc__ or "").strip().partition("\n\n")
        return " ".join(paragraph.split()).removesuffix(".")

    @classmethod
    def secret_names(cls) -> frozenset[str]:
        """The names of the secret fields in requests, which are their aliases if they have one."""
        return frozenset(
            info.validation_alias if isinstance(info.validation_alias, str) else name
            for name, info in cls.model_fields.items()
            if name in cls.secret_fields
        )

    @classmethod
    def only_names(cls) -> frozenset[str] | None:
        """All field names that callers may use; None if others are allowed."""
        if cls.model_config.get("extra") != "forbid":
            return None
        aliases = [info.validation_alias for info in cls.model_fields.values()]
        if not all(alias is None or isinstance(alias, str) for alias in aliases):
            return None
        return frozenset(cls.model_fields) | {alias for alias in aliases if isinstance(alias, str)}

    @classmethod
    def to_dict(cls) -> dict[str, Any]:
        """`{discriminator: {"description": ..., "fields": {name: {type, description, ...}}}}`."""
        return {
            cls.discriminator(): {
                "description": cls.description(),
                "fields": describe_fields(cls.model_json_schema(), cls.secret_names()),
            }
        }

    @classmethod
    def to_json(cls, indent: int | None = None) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(cls.to_dict(), indent=indent, ensure_ascii=False)
