"""What is wrong with variables of the environment, without their values, which may be secret."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails


def problems(error: ValidationError) -> list[str]:
    """One line for each variable; a choice of types has a message for each of them."""
    told: dict[str, list[str]] = {}
    for detail in error.errors():
        told.setdefault(_variable(detail), []).append(_message(detail))
    return [f"{variable}: {'; or '.join(messages)}" for variable, messages in told.items()]


def _variable(detail: ErrorDetails) -> str:
    """The first part; the others are a part of its value, or one of its types."""
    return str(next(iter(detail["loc"]), "")).upper()


def _message(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "must be set"
    return detail["msg"].removeprefix("Value error, ")
