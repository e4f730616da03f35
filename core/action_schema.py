"""What every action and event is at bottom: named, described, validated fields."""

import json
from abc import ABC
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


# Fields of an action in words for people, made from Pydantic's JSON schema of it.

type Schema = Mapping[str, Any]

_REFERENCE = "#/$defs/"


def describe_fields(schema: Schema, secret: Collection[str] = ()) -> dict[str, Any]:
    """Each field's type in words, its description, and its default where it has one.

    A type that allows null says by itself that the field may be left out, and is then null; where
    it must be given it is marked `"required": true`. A field that may be left out without its
    default being told (the default is secret, or made anew for each request) is marked
    `"optional": true`. Nested models list their fields likewise.
    """
    return _Describer(schema.get("$defs", {})).fields(schema, secret)


class _Describer:
    """Knows the definitions that the parts of one schema refer to."""

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
        described: dict[str, Any] = {"type": self.words(field)}
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

    def words(self, schema: Schema) -> str:
        """A type as people read it: `string | null`, `list of integer`, `"a" | "b"`."""
        schema = self._resolved(schema)
        if choices := _choices(schema):
            return " | ".join(dict.fromkeys(map(self.words, choices)))
        if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
            return " | ".join(json.dumps(value, ensure_ascii=False) for value in values)
        if items := schema.get("prefixItems") or schema.get("items"):
            words = self.words({"anyOf": items} if isinstance(items, list) else items)
            return f"list of ({words})" if " | " in words else f"list of {words}"
        return str(schema.get("type", "any"))

    def _models(self, schema: Schema) -> Iterator[dict[str, Any]]:
        """The fields of each model that a value may consist of; not of one inside itself."""
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
    """What stands one level deeper, the fields of a model excepted."""
    single = (schema.get("items"), schema.get("additionalProperties"))
    deeper = [*_choices(schema), *schema.get("prefixItems", ()), *single]
    return [part for part in deeper if isinstance(part, Mapping)]


def _is_secret(schema: Schema) -> bool:
    return bool(schema.get("writeOnly")) or any(map(_is_secret, _choices(schema)))


_COLLECTIONS = {"list", "tuple", "set", "frozenset"}


def _stop_at_first_error(schema: object) -> None:
    """Mark every list, tuple and set in a schema of Pydantic's."""
    if isinstance(schema, dict):
        if schema.get("type") in _COLLECTIONS and "items_schema" in schema:
            schema["fail_fast"] = True
        schema = list(schema.values())
    if isinstance(schema, list | tuple):
        for part in schema:
            _stop_at_first_error(part)


class ActionSchema(BaseModel, ABC):
    """Fields with types and descriptions, found on the wire by a discriminator."""

    model_config = ConfigDict(extra="forbid")

    secret_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields whose values are never logged, echoed or recorded."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> "CoreSchema":
        """A schema by which the first wrong element of a list ends the validation of that list.

        Pydantic would report every one, which takes 800 bytes for each of millions.
        """
        schema = handler(source)
        _stop_at_first_error(schema)
        return schema

    @classmethod
    def discriminator(cls) -> str:
        """The name that selects this class: the class name unless overridden."""
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
        """The secret fields as callers write them: by their alias where they have one."""
        return frozenset(
            info.validation_alias if isinstance(info.validation_alias, str) else name
            for name, info in cls.model_fields.items()
            if name in cls.secret_fields
        )

    @classmethod
    def only_names(cls) -> frozenset[str] | None:
        """All names of fields that callers may use; None if there may be others."""
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
