"""What is published of an action's fields."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NewType, override
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError, create_model

from core.action_schema import ActionSchema


class Color(Enum):
    RED = "red"
    GREEN = "grün"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Address(BaseModel):
    street: str = Field(description="Street and number")
    floor: int | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]


type Name = Annotated[str, Field(min_length=1)]
Number = NewType("Number", int)


class Described(ActionSchema):
    """The base of the actions made here."""

    @classmethod
    @override
    def description(cls) -> str:
        return "Does something"


def an_action(**fields: Any) -> type[ActionSchema]:
    """An action with these fields, each a type or (type, default)."""
    definitions = {k: v if isinstance(v, tuple) else (v, ...) for k, v in fields.items()}
    return create_model("Something", __base__=Described, **definitions)


class Plain(ActionSchema):
    """Do a thing
    on two lines.

    200 with the outcome.
    """


def test_the_description_is_the_first_paragraph_of_the_docstring() -> None:
    """On one line and without its full stop; what follows is for readers of the code."""
    assert Plain.description() == "Do a thing on two lines"


def published(annotation: Any, default: Any = ...) -> dict[str, Any]:
    """What is published of one field."""
    fields = an_action(x=(annotation, default)).to_dict()["Something"]["fields"]
    return fields["x"]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (str, "string"),
        (int, "integer"),
        (float, "number"),
        (bool, "boolean"),
        (Any, "any"),
        (None, "null"),
        (str | None, "string | null"),
        (int | str | None, "integer | string | null"),
        (dict, "object"),
        (dict[str, Any], "object"),
        (Mapping[str, int], "object"),
        (list, "array"),
        (list[Any], "array"),
        (list[int], "list of integer"),
        (Sequence[str], "list of string"),
        (set[str], "list of string"),
        (frozenset[int], "list of integer"),
        (tuple[int, ...], "list of integer"),
        (tuple[int, str], "list of (integer | string)"),
        (list[str | None], "list of (string | null)"),
        (list[str] | None, "list of string | null"),
        (list[list[bool]], "list of list of boolean"),
        (list[Annotated[str, Field(min_length=1)]], "list of string"),
        (Literal["a", "b"], '"a" | "b"'),
        (Literal["only"], '"only"'),
        (Literal["a", 1] | None, '"a" | 1 | null'),
        (Color, '"red" | "grün"'),
        (list[Color], 'list of ("red" | "grün")'),
        (Size, "1 | 2"),
        (Address, "object"),
        (list[Address], "list of object"),
        (Cat | Dog, "object"),
        (Name, "string"),
        (Number, "integer"),
        (UUID, "string"),
        (datetime, "string"),
        (Path, "string"),
        (SecretStr, "string"),
        (Decimal, "number | string"),
    ],
)
def test_a_type_is_told_in_words(annotation: Any, words: str) -> None:
    """A Python annotation is published as the JSON types it accepts."""
    assert published(annotation)["type"] == words


def test_a_required_field_has_neither_default_nor_mark() -> None:
    """What must be given is published with its type and description alone."""
    field = published(Annotated[int, Field(description="How many")])
    assert field == {"type": "integer", "description": "How many"}


@pytest.mark.parametrize(
    ("annotation", "default", "told"),
    [
        (int, 2, 2),
        (str | None, "x", "x"),
        (int, None, None),
        (list[str], [], []),
        (Color, Color.RED, "red"),
        (datetime, datetime(2026, 1, 2), "2026-01-02T00:00:00"),  # noqa: DTZ001
        (Address, Address(street="x"), {"street": "x", "floor": None}),
    ],
)
def test_a_default_is_told_as_json(annotation: Any, default: Any, told: Any) -> None:
    """A default is published as the JSON a caller would send."""
    field = published(annotation, default)
    assert json.loads(json.dumps(field))["default"] == told


def test_a_type_that_allows_null_says_that_the_field_may_be_left_out() -> None:
    """Null is not told as its default; where the field must be given, that is told."""
    assert published(str | None, None) == {"type": "string | null"}
    assert published(str | None) == {"type": "string | null", "required": True}
    assert published(list[str | None], []) == {"type": "list of (string | null)", "default": []}


def test_a_default_made_anew_is_not_told() -> None:
    """A factory may give another value at each start; replicas must publish the same."""
    make = partial(an_action, x=(str, Field(default_factory=lambda: str(uuid4()))))
    assert make().to_dict() == make().to_dict()
    assert make().to_dict()["Something"]["fields"]["x"] == {"type": "string", "optional": True}


class Guarded(Described):
    secret_fields: ClassVar[frozenset[str]] = frozenset({"key", "other"})

    key: str = "k-1"
    other: str = Field("k-2", alias="otherKey")
    third: SecretStr = SecretStr("k-3")
    fourth: SecretStr | None = SecretStr("k-4")
    plain: str = "k-5"


def test_secret_defaults_are_not_published() -> None:
    """The default of a secret field is left out, whether named as secret or secret by type."""
    fields = Guarded.to_dict()["Guarded"]["fields"]
    assert fields == {
        "key": {"type": "string", "optional": True},
        "otherKey": {"type": "string", "optional": True},
        "third": {"type": "string", "optional": True},
        "fourth": {"type": "string | null", "optional": True},
        "plain": {"type": "string", "default": "k-5"},
    }


def test_secret_names_are_those_that_callers_write() -> None:
    """A secret field with an alias is known by it."""
    assert Guarded.secret_names() == {"key", "otherKey"}


def test_the_whole_description() -> None:
    """An action is published under its discriminator with description and fields."""
    action = an_action(a=str, b=(int, 2))
    assert action.to_dict() == {
        "Something": {
            "description": "Does something",
            "fields": {"a": {"type": "string"}, "b": {"type": "integer", "default": 2}},
        }
    }


def test_to_json_is_to_dict() -> None:
    """`to_json` is the same as text, with letters as they are."""
    action = an_action(c=Color)
    assert json.loads(action.to_json()) == action.to_dict()
    assert "grün" in action.to_json()
    assert action.to_json(indent=1).count("\n") > 3


def test_the_discriminator_may_be_overridden() -> None:
    """A class is known by its name unless it says otherwise."""
    renamed = create_model("Renamed", __base__=Described)
    renamed.discriminator = classmethod(lambda cls: "other")  # type: ignore[method-assign]
    assert list(renamed.to_dict()) == ["other"]


def test_unknown_fields_are_refused() -> None:
    """What is not declared is a mistake, not something to ignore."""
    with pytest.raises(ValidationError):
        an_action(a=str).model_validate({"a": "x", "b": 1})


def test_a_class_without_a_docstring_has_no_description() -> None:
    """Nor does it have that of its base class."""
    assert create_model("Bare", __base__=Plain).description() == ""
