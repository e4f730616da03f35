"""Results of operations in which each text is one that a partner or a plugin may choose."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypeAliasType, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel

from core.operator_interfaces import Call, Operation, OperatorApi

PLAIN: Mapping[Any, Callable[[str], Any]] = {
    str: lambda text: text,
    int: lambda _: 7,
    float: lambda _: 1.5,
    bool: lambda _: True,
    datetime: lambda _: datetime(2026, 11, 30, tzinfo=UTC),
    date: lambda _: date(2026, 11, 30),
    UUID: lambda _: UUID(int=7),
    type(None): lambda _: None,
    Any: lambda text: text,
}


def filled(kind: Any, text: str) -> Any:
    """A value of this type in which every text is `text`; bounds of fields are not looked at."""
    if isinstance(kind, TypeAliasType):
        return filled(kind.__value__, text)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        members = {n: filled(field.annotation, text) for n, field in kind.model_fields.items()}
        return kind.model_construct(**members)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return arguments[0]
    if origin is Annotated:
        return filled(arguments[0], text)
    if origin in (Union, types.UnionType):
        return filled(arguments[0], text)
    if origin is list:
        return [filled(arguments[0], text)] * 2
    if origin is dict:
        return {text: filled(arguments[1], text)}
    return PLAIN[kind](text)


class HostileOperator(OperatorApi):
    """Answers each operation of another with a result of such texts."""

    def __init__(self, real: OperatorApi, text: str) -> None:
        self._real, self._text = real, text

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Those of the other."""
        return self._real.operations

    async def perform(self, name: str, arguments: Mapping[str, Any], call: Call) -> BaseModel:
        """A result of the operation's type."""
        found: BaseModel = filled(self.operations[name].result, self._text)
        return found
