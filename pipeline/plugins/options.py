"""The options a plugin is called with: its own defaults, and what the configuration says over them.

A plugin says what it takes in one of two ways: `default_options`, a dict, as vcon-server's plugins
do; or `Options`, a Pydantic model, which is checked at load and given to each call as an object.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from core.errors import PluginFailedError
from pipeline.config.connections import OPTION, borrowed
from pipeline.config.environment import Where, Written, advice, is_date, is_other_number
from pipeline.config.model import PluginSpec
from pipeline.config.sections import Findings, spelled
from pipeline.plugins.missing import explain_missing

# Options that YAML has turned into something else: do they still say what the file says?
#
# A plugin's model takes a number for a text and a text for a number, so a type does not tell. The
# model reads the options twice: as YAML has them, and with one value as it stands in the file.
# Where both readings give the same, as `yes` does for a switch, nothing was lost; where they do
# not, the operator is asked to quote the value.

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


type Options = Mapping[str, Any] | BaseModel

FOR_THE_HOST = frozenset({"after_link", OPTION})
"""Options that the machinery reads, whatever the plugin: vcon-server's, and a connection's name."""


def options_model(*holders: object) -> type[BaseModel] | None:
    """The model `Options` of a plugin, in the first of these places that has one.

    Raises:
        PluginFailedError: for something of that name that is no Pydantic model.
    """
    found = next((each for h in holders if (each := getattr(h, "Options", None)) is not None), None)
    if found is None or (isinstance(found, type) and issubclass(found, BaseModel)):
        return found
    raise PluginFailedError("Options is not a Pydantic model")


def laid_over(
    defaults: Mapping[str, Any] | type[BaseModel], spec: PluginSpec, *, by_itself: bool = False
) -> Options:
    """What the configuration says, over the plugin's defaults.

    `by_itself`: the plugin uses connections by their names.

    Raises:
        PluginFailedError: with each option that its model does not take, by path, without its
        value; or
            with the library that the plugin needs for these options, where that is missing.
    """
    known = defaults if isinstance(defaults, Mapping) else _names(defaults)
    lent = borrowed(spec.options, spec.connections, known, by_itself=by_itself)
    if isinstance(defaults, Mapping):
        return {**defaults, **lent, **spec.options}
    if problems := misread(defaults, spec.options, spec.written):
        raise PluginFailedError("; ".join(problems))
    try:
        return defaults.model_validate({**lent, **spec.options})
    except ModuleNotFoundError as error:  # what a plugin imports only where its options ask for it
        raise PluginFailedError(explain_missing(spec, error)) from None
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [f"{_path(each['loc'])}: {each['msg']}" for each in details]
        raise PluginFailedError("; ".join(problems)) from None


def option(options: Options, name: str) -> Any:
    """One option, or None for one that is not there."""
    return getattr(options, name, None) if isinstance(options, BaseModel) else options.get(name)


def _path(location: tuple[str | int, ...]) -> str:
    return ".".join(["options", *(str(part) for part in location)])


def _names(model: type[BaseModel]) -> set[str]:
    fields = model.model_fields.items()
    return {str(name) for key, each in fields for name in (key, each.alias or key)}


def unknown_options(
    defaults: Mapping[str, Any] | type[BaseModel], spec: PluginSpec, *, strict: bool
) -> list[str]:
    """The options that the plugin's model does not have; those of other plugins are not judged.

    Raises:
        PluginFailedError: where a known one was probably meant, or none is to be unknown
        (`strict`). The
            value may be a secret and is not told.
    """
    if isinstance(defaults, Mapping) or defaults.model_config.get("extra", "ignore") != "ignore":
        return []
    findings = Findings(strict=strict)
    known = sorted(FOR_THE_HOST | _names(defaults))
    for name in sorted(set(spec.options) - set(known)):
        findings.unknown(("options", name), known, "option")
    if findings.problems:
        raise PluginFailedError("; ".join(findings.problems))
    return findings.notes
