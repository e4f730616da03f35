"""Keeping values from outside from becoming statements, or operators of selections.

SQL, formulas and JavaScript are texts that a server executes, so no reference is filled in there
but to `env`: values go into parameters. MongoDB's filters, updates and pipelines are structures in
which a key that begins with `$` is an operator: a value that is filled in there must have none.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from flowlang.exceptions import FlowExecutionError
from flowlang.language.references import is_reference, references_in, resolved

_STATEMENTS = ("query", "queries", "filter_by_formula")
_DATABASES = ("pg_", "mysql_", "sqlite_", "airtable_")
_SELECTIONS = ("filter", "pipeline", "update")
_EXPRESSIONS = ("pipeline", "$expr")
"""Where a text that begins with `$` names a field."""
_CODE = ("$where", "$function", "$accumulator")


def objections(params: Mapping[str, Any], task: str | None = None) -> Iterator[str]:
    """Each parameter of a task whose statement a value from outside could change.

    Other plugins may have a parameter `query` that is no statement: where `task` is none of the
    built-in databases', it may be one reference, but not a text around one.
    """
    is_other = task is not None and not task.startswith(_DATABASES)
    for name, value in params.items():
        texts = [each for each in _statements(value) if not (is_other and is_reference(each))]
        if name in _STATEMENTS and any(map(_refers, texts)):
            yield (
                f"{name}: a reference there could change the statement; write a"
                " placeholder, and the value into params"
            )
        elif name in _SELECTIONS and any(map(_refers, _code(value))):
            yield f"{name}: code must not hold a reference"


def whole_selections(params: Mapping[str, Any]) -> Iterator[str]:
    """Each selection that is one reference, so that its fields would come from outside, too."""
    for name in _SELECTIONS:
        if isinstance(params.get(name), str) and _refers(params[name]):
            yield f"{name}: name its fields here; only their values may be references"


def arguments(params: Mapping[str, Any], roots: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a task with every reference in them replaced, as `resolved` does.

    Raises:
        FlowExecutionError: also for a value with an operator, in a selection.
    """
    return {name: _argument(name, value, roots) for name, value in params.items()}


def _argument(name: str, value: Any, roots: Mapping[str, Any]) -> Any:
    if name not in _SELECTIONS:
        return resolved(value, roots)
    return _selection(value, roots, is_expression=name in _EXPRESSIONS)


def _selection(value: Any, roots: Mapping[str, Any], *, is_expression: bool) -> Any:
    if isinstance(value, list):
        return [_selection(each, roots, is_expression=is_expression) for each in value]
    if isinstance(value, Mapping):
        return {
            key: _selection(each, roots, is_expression=is_expression or key in _EXPRESSIONS)
            for key, each in value.items()
        }
    if isinstance(value, str) and _refers(value):
        return _plain(resolved(value, roots), is_expression=is_expression)
    return resolved(value, roots)


def _plain(value: Any, *, is_expression: bool) -> Any:
    """The value; refused where a part of it would be an operator."""
    if isinstance(value, Mapping):
        for key in value:
            if isinstance(key, str) and key.startswith("$"):
                raise FlowExecutionError(f"a value must not bring the operator {key!r:.40}")
    if is_expression and isinstance(value, str) and value.startswith("$"):
        raise FlowExecutionError("a value in an expression must not begin with '$'")
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list):
        for each in inner:
            _plain(each, is_expression=is_expression)
    return value


def _statements(value: Any) -> Iterator[str]:
    """The texts of a statement's parameter, but not what stands at its placeholders."""
    for each in value if isinstance(value, list) else [value]:
        text = each.get("query") if isinstance(each, Mapping) else each
        if isinstance(text, str):
            yield text


def _code(value: Any, *, inside: bool = False) -> Iterator[str]:
    """The texts of a selection that are code."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _code(each, inside=inside or key in _CODE)
    elif isinstance(value, list):
        for each in value:
            yield from _code(each, inside=inside)
    elif inside and isinstance(value, str):
        yield value


def _refers(text: str) -> bool:
    """Whether a text has a reference to anything but the environment."""
    return any(path[:1] != ("env",) for path in references_in(text))
