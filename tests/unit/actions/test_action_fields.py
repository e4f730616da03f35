"""How models inside an action's fields are described."""

from collections.abc import Callable
from typing import Any, Literal, override

import pytest
from pydantic import BaseModel, Field, create_model

from core.action_schema import ActionSchema


class Address(BaseModel):
    street: str = Field(description="Street and number")
    floor: int | None = None


class Person(BaseModel):
    name: str
    address: Address


class Tree(BaseModel):
    label: str
    children: list["Tree"] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]


class Described(ActionSchema):
    """The base of the actions made here."""

    @classmethod
    @override
    def description(cls) -> str:
        return "Does something"


def published(annotation: Any) -> dict[str, Any]:
    """What is published of one field."""
    action = create_model("Something", __base__=Described, x=(annotation, ...))
    return action.to_dict()["Something"]["fields"]["x"]


@pytest.mark.parametrize(
    "around",
    [
        lambda model: model,
        lambda model: model | None,
        lambda model: list[model],
        lambda model: list[model] | None,
        lambda model: dict[str, model],
        lambda model: tuple[int, model],
    ],
)
def test_a_nested_model_lists_its_fields(around: Callable[[Any], Any]) -> None:
    """Wherever a model stands inside a field, its own fields are published below it."""
    assert published(around(Person))["fields"] == {
        "name": {"type": "string"},
        "address": {
            "type": "object",
            "fields": {
                "street": {"type": "string", "description": "Street and number"},
                "floor": {"type": "integer | null"},
            },
        },
    }


def test_each_of_several_models_is_described() -> None:
    """A field that may be one of several models lists the fields of each."""
    cat, dog = published(Cat | Dog)["fields"]
    assert (list(cat), list(dog)) == (["kind", "lives"], ["kind"])


def test_a_model_inside_itself_is_described_once() -> None:
    """A recursive model ends where it begins again."""
    fields = published(Tree)["fields"]
    assert fields["children"] == {"type": "list of object", "default": []}


def test_an_action_inside_itself_can_be_published() -> None:
    """An action that refers to itself is described like any other."""
    assert list(Recursive.to_dict()["Recursive"]["fields"]) == ["child"]


class Recursive(Described):
    child: "Recursive | None" = None
