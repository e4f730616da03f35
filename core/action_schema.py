"""What every action and event is at bottom: named, described, validated fields."""

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler

from core.action_fields import describe_fields

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


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
    @abstractmethod
    def description(cls) -> str:
        """One line for people, published to the Plugboard."""

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
