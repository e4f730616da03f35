"""The options that a plugin is called with: its defaults, overridden by the configuration.

A plugin declares its options in one of two ways: `default_options`, a dict, as vcon-server's
plugins do; or `Options`, a Pydantic model, which is checked at load and passed to each call as an
object.

YAML may have read an option as another value than the one written (`pipeline.config.environment`).
A type does not show that, because Pydantic converts numbers to texts and back. So the model reads
the options twice: as YAML has them, and with one value as written in the file. If both readings
are equal, as for `yes` in a switch, nothing was lost; otherwise the operator is told to quote the
value.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ValidationError

from core.errors import PluginFailedError
from pipeline.config.connections import OPTION, borrowed
from pipeline.config.environment import Where, Written, advice, is_date, is_other_number
from pipeline.config.model import PluginSpec
from pipeline.config.sections import Findings, spelled
from pipeline.plugins.missing import explain_missing

type Model = type[BaseModel]
type Options = Mapping[str, Any] | BaseModel

FOR_THE_HOST = frozenset({"after_link", OPTION})
"""Options that the service reads for every plugin: vcon-server's, and a connection's name."""
_FAILED = object()
_KEY = "a key must be a text; quote it"
_OCTAL = "octal"
"""Marks a field as an octal number, such as a file mode, in its `json_schema_extra`."""


def misread(model: Model, options: Mapping[str, Any], written: Written) -> list[str]:
    """A message for each option whose value differs from the text in the file."""
    places = {at: text for at, text in written.items() if not _is_octal(model, at)}
    keys = [at for at in places if not _has(options, at)]
    values = {at: text for at, text in places.items() if at not in keys}
    turned = [f"{spelled(('options', *at))}: {_KEY}" for at in keys]
    return [*_misread_values(model, options, values), *_misread_keys(options), *turned]


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
    """Whether the model reads the value and the text at this place differently."""
    value = _at(plain, at)
    first, second = _read(model, _with(as_written, at, value)), _read(model, as_written)
    if second is _FAILED:  # such as 22:30 for a number
        first, second = _read(model, plain), _read(model, _with(plain, at, text))
    if first is _FAILED or second is _FAILED:
        return first is not second
    odd = is_other_number(text) or is_date(value)
    return any(odd or type(one) is type(two) for one, two in _differences(first, second))


def _read(model: Model, options: Any) -> Any:
    """The options as a model reads them, or `_FAILED`."""
    try:
        return model.model_validate(options).model_dump()
    except Exception:  # noqa: BLE001 -- a model may raise anything; `laid_over` reports problems
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
    """Keys inside the options that YAML did not read as texts."""
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
    """Whether the options have this place; the written form of a misread key is not in them."""
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
    """A copy with another item at one place."""
    if not at:
        return item
    inner = _with(value[at[0]], at[1:], item)
    if isinstance(value, Mapping):
        return {**value, at[0]: inner}
    return [inner if place == at[0] else each for place, each in enumerate(value)]


def options_model(*holders: object) -> type[BaseModel] | None:
    """The model `Options` of the first of these that has one.

    Raises:
        PluginFailedError: `Options` is not a Pydantic model.
    """
    found = next((each for h in holders if (each := getattr(h, "Options", None)) is not None), None)
    if found is None or (isinstance(found, type) and issubclass(found, BaseModel)):
        return found
    raise PluginFailedError("Options is not a Pydantic model")


def laid_over(
    defaults: Mapping[str, Any] | type[BaseModel], spec: PluginSpec, *, by_itself: bool = False
) -> Options:
    """The configured options over the plugin's defaults.

    `by_itself`: the plugin uses connections by name.

    Raises:
        PluginFailedError: with the path of each option that the model refuses, without its value;
            or with the missing library that the plugin needs for these options.
    """
    known = defaults if isinstance(defaults, Mapping) else _names(defaults)
    lent = borrowed(spec.options, spec.connections, known, by_itself=by_itself)
    if isinstance(defaults, Mapping):
        return {**defaults, **lent, **spec.options}
    if problems := misread(defaults, spec.options, spec.written):
        raise PluginFailedError("; ".join(problems))
    try:
        return defaults.model_validate({**lent, **spec.options})
    except ModuleNotFoundError as error:  # some plugins import a library for certain options only
        raise PluginFailedError(explain_missing(spec, error)) from None
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [f"{_path(each['loc'])}: {each['msg']}" for each in details]
        raise PluginFailedError("; ".join(problems)) from None


def option(options: Options, name: str) -> Any:
    """One option; None if absent."""
    return getattr(options, name, None) if isinstance(options, BaseModel) else options.get(name)


def _path(location: tuple[str | int, ...]) -> str:
    return ".".join(["options", *(str(part) for part in location)])


def _names(model: type[BaseModel]) -> set[str]:
    fields = model.model_fields.items()
    return {str(name) for key, each in fields for name in (key, each.alias or key)}


def unknown_options(
    defaults: Mapping[str, Any] | type[BaseModel], spec: PluginSpec, *, strict: bool
) -> list[str]:
    """Notes on options that the plugin's model does not have; dict defaults accept any option.

    Raises:
        PluginFailedError: an unknown option is close to a known one, or `strict`. Its value may be
            a secret and is not shown.
    """
    if isinstance(defaults, Mapping) or defaults.model_config.get("extra", "ignore") != "ignore":
        return []
    findings = Findings(strict=strict)
    _report_unknown(findings, ("options",), spec.options, FOR_THE_HOST | _names(defaults))
    with suppress(ModuleNotFoundError):  # `laid_over` reports the library that is missing
        for name, model in _handed_on(defaults, spec.options):
            _report_unknown(findings, ("options", name), spec.options[name], _names(model))
    if findings.problems:
        raise PluginFailedError("; ".join(findings.problems))
    return findings.notes


def _report_unknown(
    findings: Findings, where: Where, options: Mapping[str, Any], names: Iterable[str]
) -> None:
    known = sorted(names)
    for name in sorted(set(map(str, options)) - set(known)):
        findings.unknown((*where, name), known, "option")


def _handed_on(model: type[BaseModel], options: Mapping[str, Any]) -> Iterator[tuple[str, Model]]:
    """The given options that go to another plugin, and its model."""
    handed_on = getattr(model, "handed_on", None)  # a method of `lib.options.PluginOptions`
    for name, other in handed_on(options).items() if callable(handed_on) else ():
        if isinstance(options.get(name), Mapping):
            yield name, other
