"""From what stands in YAML to what a plugin's `connect` is given.

Type, plugin, what it needs, environment, the plugin's own opinion, its schema: in this order, so
the first thing that is wrong is told in words that fit it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import yaml
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import Draft202012Validator, validator_for

from flowlang.connections.base import ConnectionPlugin
from flowlang.connections.registry import ConnectionPluginRegistry
from flowlang.environment import is_reference, substitute
from flowlang.exceptions import (
    ConnectionConfigError,
    ConnectionError,
    ConnectionNotFoundError,
    PluginNotFoundError,
)
from flowlang.language.schemas import Schema
from flowlang.redaction import Secrets, is_secret

_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


@dataclass(frozen=True)
class Prepared:
    """A plugin's new object, and the configuration it may connect with."""

    type: str
    plugin: ConnectionPlugin
    config: dict[str, Any]
    secrets: Secrets


def prepare(name: str, given: object, registry: ConnectionPluginRegistry) -> Prepared:
    """Everything that comes before `connect`, for one connection.

    Raises ConnectionConfigError for the configuration, ConnectionNotFoundError for the type,
    ConnectionError for what is not installed.
    """
    if not isinstance(given, Mapping) or not given.get("type"):
        raise ConnectionConfigError(f"Connection '{name}' missing required field 'type'")
    kind = str(_resolved(f"'{name}'", given["type"], Schema.of({})))
    plugin = _new_plugin(name, kind, registry)
    whole = f"'{name}' ({kind})"
    _require_dependencies(whole, plugin)
    schema = _schema(whole, plugin)
    config = {**_resolved(whole, dict(given), Schema.of(schema)), "type": kind}
    secrets = Secrets()
    secrets.learn_from(config, schema)
    problem = _own_opinion(plugin, config) or _told(whole, lambda: _held_against(config, schema))
    if problem:
        raise ConnectionConfigError(
            f"Invalid config for connection {whole}: {secrets.text(problem)}"
        )
    return Prepared(kind, plugin, config, secrets)


def _new_plugin(name: str, kind: str, registry: ConnectionPluginRegistry) -> ConnectionPlugin:
    try:
        return _told(f"'{name}' ({kind})", partial(registry.new, kind))
    except PluginNotFoundError as error:
        known = ", ".join(error.available)
        raise ConnectionNotFoundError(
            f"Unknown connection type '{kind}' for connection '{name}'. Available types: {known}"
        ) from error


def _told[T](whole: str, ask: Callable[[], T]) -> T:
    """What a plugin tells of itself. Raises ConnectionConfigError, whatever it raises."""
    try:
        return ask()
    except PluginNotFoundError:
        raise
    except Exception as error:
        raise ConnectionConfigError(
            f"The plugin of connection {whole} is broken: {type(error).__name__}: {error}"
        ) from error


def _require_dependencies(whole: str, plugin: ConnectionPlugin) -> None:
    missing = _told(whole, partial(_missing, plugin))
    if missing:
        raise ConnectionError(
            f"The plugin of connection {whole} requires packages: {', '.join(missing)}."
            f" Install with: pip install {' '.join(missing)}"
        )


def _missing(plugin: ConnectionPlugin) -> list[str]:
    met, missing = plugin.check_dependencies()
    return [] if met else list(missing)


def require_sound(name: str, kind: str, plugin: ConnectionPlugin) -> None:
    """See that a plugin can say what it needs and takes. Raises ConnectionConfigError.

    What is not installed, or not configured, is no fault of the plugin's.
    """
    whole = f"'{name}' ({kind})"
    _told(whole, partial(_missing, plugin))
    _schema(whole, plugin)


def _schema(whole: str, plugin: ConnectionPlugin) -> dict[str, Any]:
    schema = _told(whole, lambda: dict(plugin.get_config_schema()))
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        raise ConnectionConfigError(
            f"The plugin of connection {whole} has a wrong schema: {error.message}"
        ) from error
    return schema


def _resolved(whole: str, value: Any, schema: Schema) -> Any:
    """The value with its references to the environment replaced, at any depth."""
    if isinstance(value, Mapping):
        return {key: _resolved(whole, each, schema.at(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolved(whole, each, schema.at(0)) for each in value]
    if not isinstance(value, str):
        return value
    try:
        text = substitute(value)
    except LookupError as error:
        raise ConnectionConfigError(f"{error.args[0]}, which connection {whole} needs") from error
    return coerced(text, schema.types) if is_reference(value) else text


def coerced(text: str, types: Iterable[str]) -> Any:
    """A text as the first of the types that it can be, or as it is."""
    for kind in types:
        try:
            return _as_type(text, kind)
        except (ValueError, KeyError, yaml.YAMLError):
            continue
    return text


def _as_type(text: str, kind: str) -> Any:
    match kind:
        case "integer":
            return int(text)
        case "number":
            return float(text)
        case "boolean":
            return _BOOLEANS[text.strip().lower()]
        case "null":
            return {"": None, "null": None}[text]
        case "object" | "array":
            return _structure(text, kind)
        case _:
            return text


def _structure(text: str, kind: str) -> Any:
    value = yaml.safe_load(text)
    if not isinstance(value, dict if kind == "object" else list):
        raise ValueError(text)  # noqa: TRY004 - the text is of the right type, its content is not
    return value


def _own_opinion(plugin: ConnectionPlugin, config: dict[str, Any]) -> str | None:
    try:
        valid, message = plugin.validate_config(dict(config))
    except Exception as error:  # noqa: BLE001 - a plugin that trips over it cannot use it
        return f"{type(error).__name__}: {error}"
    return None if valid else message or "the plugin does not accept it"


def _held_against(config: dict[str, Any], schema: dict[str, Any]) -> str:
    return "; ".join(_problems(config, schema))


def _problems(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    known = schema.get("properties", {})
    fields = {key: value for key, value in config.items() if key != "type" or key in known}
    validator = validator_for(schema, default=Draft202012Validator)(schema)
    for error in sorted(validator.iter_errors(fields), key=lambda each: list(map(str, each.path))):
        yield _sentence(error, schema)


def _sentence(error: ValidationError, schema: Mapping[str, Any]) -> str:
    """What is wrong where, without repeating the value of a secret property."""
    place, inner, hidden = "", Schema.of(schema), False
    for key in error.path:
        inner = inner.at(key)
        hidden = hidden or is_secret(key, inner)
        place += f"[{key}]" if isinstance(key, int) else f".{key}" if place else str(key)
    said = f"does not meet {error.validator!r} of its schema" if hidden else error.message
    return f"{place}: {said}" if place else said
