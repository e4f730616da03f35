"""Options that YAML has turned into something else: do they still say what the file says?

A guest's model takes a number for a text and a text for a number, so a type does not tell. The
model reads the options twice: as YAML has them, and with one value as it stands in the file. Where
both readings give the same, as `yes` does for a switch, nothing was lost; where they do not, the
operator is asked to quote the value.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from pipeline.config_environment import Where
from pipeline.config_section import spelled
from pipeline.config_written import Written, advice, is_date, is_other_number

type Model = type[BaseModel]

_FAILED = object()
_KEY = "a key must be a text; quote it"
_OCTAL = "octal"
"""The mark, in a field's `json_schema_extra`, of a number that is octal, such as a file mode."""


def misread(model: Model, options: Mapping[str, Any], written: Written) -> list[str]:
    """A message for each option that says something else than what stands in the file."""
    places = {at: text for at, text in written.items() if not _is_octal(model, at)}
    keys = [at for at in places if not _has(options, at)]
    values = {at: text for at, text in places.items() if at not in keys}
    told = [f"{spelled(('options', *at))}: {_KEY}" for at in keys]
    return [*_misread_values(model, options, values), *_misread_keys(options), *told]


def _misread_values(model: Model, options: Mapping[str, Any], written: Written) -> Iterator[str]:
    as_written: Any = options
    for at, text in written.items():
        as_written = _with(as_written, at, text)
    for at, text in written.items():
        value = _at(options, at)
        unset = value is None and len(at) == 1
        if not unset and _differs(model, options, as_written, at, text):
            yield f"{spelled(('options', *at))}: {advice(value)}"


def _differs(model: Model, plain: Any, as_written: Any, at: Where, text: str) -> bool:
    """Whether it matters for the model which of the two stands in this place."""
    value = _at(plain, at)
    first, second = _read(model, _with(as_written, at, value)), _read(model, as_written)
    if second is _FAILED:  # such as 22:30 for a number
        first, second = _read(model, plain), _read(model, _with(plain, at, text))
    if first is _FAILED or second is _FAILED:
        return first is not second
    odd = is_other_number(text) or is_date(value)
    return any(odd or type(one) is type(two) for one, two in _differences(first, second))


def _read(model: Model, options: Any) -> Any:
    """What a model makes of options."""
    try:
        return model.model_validate(options).model_dump()
    except Exception:  # noqa: BLE001 -- a model may raise anything; what is wrong is told elsewhere
        return _FAILED


def _differences(one: Any, two: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(one, Mapping) and isinstance(two, Mapping) and one.keys() == two.keys():
        for key in one:
            yield from _differences(one[key], two[key])
    elif isinstance(one, list | tuple) and isinstance(two, list | tuple) and len(one) == len(two):
        for pair in zip(one, two, strict=True):
            yield from _differences(*pair)
    elif one != two:
        yield one, two


def _misread_keys(options: Any, where: Where = ("options",)) -> Iterator[str]:
    """Names inside the options that are no texts any more."""
    for key, value in _items(options):
        if isinstance(key, str | int) and not isinstance(key, bool):
            yield from _misread_keys(value, (*where, key))
        else:
            yield f"{spelled((*where, key))}: {_KEY}"


def _items(value: object) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _is_octal(model: Model, at: Where) -> bool:
    field = model.model_fields.get(str(at[0]))
    extra = field and field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(_OCTAL))


def _has(value: Any, at: Where) -> bool:
    """Whether the options have this place, which a key that became another number has not."""
    try:
        _at(value, at)
    except (LookupError, TypeError):
        return False
    return True


def _at(value: Any, at: Where) -> Any:
    for part in at:
        value = value[part]
    return value


def _with(value: Any, at: Where, item: object) -> Any:
    """A copy with another item in one place."""
    if not at:
        return item
    inner = _with(value[at[0]], at[1:], item)
    if isinstance(value, Mapping):
        return {**value, at[0]: inner}
    return [inner if place == at[0] else each for place, each in enumerate(value)]
