"""Conditions: `${count} > 3 and not ${order.paid}`, or `any`, `all`, `none` over a list of them.

A reference yields a value, which is never parsed as part of the condition. Two values that are
numbers, or texts of numbers, are compared as numbers.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from flowlang.exceptions import FlowExecutionError, FlowValidationError
from flowlang.language.references import resolved

_TOKEN = re.compile(
    r"\s*(?:(?P<quoted>\"[^\"]*\"|'[^']*')"
    r"|(?P<sign>==|!=|>=|<=|>|<|\(|\))"
    r"|(?P<word>(?:\$\{[^{}]*\}|[^\s()<>=!\"'])+))"
)
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None}
_LISTS: dict[str, Callable[[list[bool]], bool]] = {
    "any": any,
    "all": all,
    "none": lambda truths: not any(truths),
}
_JOINING = ("and", "or", "not", "in")


def holds(condition: Any, roots: Mapping[str, Any]) -> bool:
    """Whether a condition is met.

    Raises FlowValidationError for an invalid condition, FlowExecutionError for a reference that
    cannot be resolved.
    """
    if isinstance(condition, Mapping):
        return all(_list_holds(name, each, roots) for name, each in condition.items())
    if isinstance(condition, str):
        return _Reader(condition, roots).read()
    return bool(condition)


def equal(left: Any, right: Any) -> bool:
    """Whether two values are the same, `5` and `"5"` being so."""
    return _compared(operator.eq, left, right)


def _list_holds(name: str, conditions: Any, roots: Mapping[str, Any]) -> bool:
    if name not in _LISTS or not isinstance(conditions, list):
        raise FlowValidationError("a condition is a text, or any, all or none with a list")
    return _LISTS[name]([holds(each, roots) for each in conditions])


class _Reader:
    """Reads a condition from left to right: `or` of `and` of `not` of comparisons."""

    def __init__(self, text: str, roots: Mapping[str, Any]) -> None:
        self._text = text
        self._roots = roots
        self._tokens = self._split()

    def _split(self) -> list[str]:
        text, position, tokens = self._text.strip(), 0, []
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self._wrong(text[position:])
            tokens.append(match[0].strip())
            position = match.end()
        return tokens

    def read(self) -> bool:
        truth = bool(self._either())
        if self._tokens:
            raise self._wrong(self._tokens[0])
        return truth

    def _either(self) -> Any:
        value = self._both()
        while self._take("or"):
            other = self._both()
            value = value or other
        return value

    def _both(self) -> Any:
        value = self._negated()
        while self._take("and"):
            other = self._negated()
            value = value and other
        return value

    def _negated(self) -> Any:
        return not self._negated() if self._take("not") else self._comparison()

    def _comparison(self) -> Any:
        left = self._operand()
        if self._tokens[:2] == ["not", "in"]:
            del self._tokens[:2]
            return not self._contains(left)
        if self._take("in"):
            return self._contains(left)
        if self._tokens and self._tokens[0] in _COMPARISONS:
            return _compared(_COMPARISONS[self._tokens.pop(0)], left, self._operand())
        return left

    def _contains(self, left: Any) -> bool:
        container = self._operand()
        if not isinstance(container, Mapping | list | str):
            raise FlowExecutionError(f"nothing is 'in' {type(container).__name__}: {self._text}")
        return left in container

    def _operand(self) -> Any:
        if self._take("("):
            value = self._either()
            if not self._take(")"):
                raise self._wrong("end, where ) is missing")
            return value
        words = []
        while self._tokens and self._tokens[0] not in (*_COMPARISONS, *_JOINING, "(", ")"):
            words.append(self._tokens.pop(0))
        if not words:
            raise self._wrong(self._tokens[0] if self._tokens else "end")
        return self._value(words)

    def _value(self, words: list[str]) -> Any:
        if words[0][0] in "\"'" and len(words) == 1:
            return resolved(words[0][1:-1], self._roots)
        text = " ".join(words)
        return _WORDS.get(
            text.lower(), None if text.lower() in _WORDS else _read(text, self._roots)
        )

    def _take(self, token: str) -> bool:
        found = self._tokens[:1] == [token]
        if found:
            del self._tokens[0]
        return found

    def _wrong(self, where: str) -> FlowValidationError:
        return FlowValidationError(f"cannot read the condition '{self._text}' at: {where}")


def _read(text: str, roots: Mapping[str, Any]) -> Any:
    number = _number(text)
    return resolved(text, roots) if number is None else number


def _compared(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    numbers = _number(left), _number(right)
    if None not in numbers:
        left, right = numbers
    try:
        return bool(compare(left, right))
    except TypeError:
        kinds = f"{type(left).__name__} and {type(right).__name__}"
        raise FlowExecutionError(f"cannot compare {kinds}") from None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
