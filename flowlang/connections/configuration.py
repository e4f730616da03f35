"""Preparing a connection: from its configuration in YAML to the arguments of `connect`.

Checked in this order, so that the first problem has the most specific message: type, plugin,
dependencies, environment, the plugin's `validate_config`, its schema.
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
    """Check one connection's configuration, and make the plugin's object for it.

    Raises ConnectionConfigError for the configuration, ConnectionNotFoundError for the type,
    ConnectionError for missing packages.
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
    problem = _rejected(plugin, config) or _answer(whole, lambda: _invalid(config, schema))
    if problem:
        raise ConnectionConfigError(
            f"Invalid config for connection {whole}: {secrets.text(problem)}"
        )
    return Prepared(kind, plugin, config, secrets)


def _new_plugin(name: str, kind: str, registry: ConnectionPluginRegistry) -> ConnectionPlugin:
    try:
        return _answer(f"'{name}' ({kind})", partial(registry.new, kind))
    except PluginNotFoundError as error:
        known = ", ".join(error.available)
        raise ConnectionNotFoundError(
            f"Unknown connection type '{kind}' for connection '{name}'. Available types: {known}"
        ) from error


def _answer[T](whole: str, call: Callable[[], T]) -> T:
    """Call a plugin; any exception of it becomes a ConnectionConfigError."""
    try:
        return call()
    except PluginNotFoundError:
        raise
    except Exception as error:
        raise ConnectionConfigError(
            f"The plugin of connection {whole} is broken: {type(error).__name__}: {error}"
        ) from error


def _require_dependencies(whole: str, plugin: ConnectionPlugin) -> None:
    missing = _answer(whole, partial(_missing, plugin))
    if missing:
        raise ConnectionError(
            f"The plugin of connection {whole} requires packages: {', '.join(missing)}."
            f" Install with: pip install {' '.join(missing)}"
        )


def _missing(plugin: ConnectionPlugin) -> list[str]:
    met, missing = plugin.check_dependencies()
    return [] if met else list(missing)


def require_sound(name: str, kind: str, plugin: ConnectionPlugin) -> None:
    """Check that a plugin lists its dependencies and has a valid schema.

    Missing packages and a wrong configuration are not reported. Raises ConnectionConfigError.
    """
    whole = f"'{name}' ({kind})"
    _answer(whole, partial(_missing, plugin))
    _schema(whole, plugin)


def _schema(whole: str, plugin: ConnectionPlugin) -> dict[str, Any]:
    schema = _answer(whole, lambda: dict(plugin.get_config_schema()))
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
    """A text converted to the first of the types that accepts it, else unchanged."""
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


def _rejected(plugin: ConnectionPlugin, config: dict[str, Any]) -> str | None:
    try:
        valid, message = plugin.validate_config(dict(config))
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        return f"{type(error).__name__}: {error}"
    return None if valid else message or "the plugin does not accept it"


def _invalid(config: dict[str, Any], schema: dict[str, Any]) -> str:
    return "; ".join(_problems(config, schema))


def _problems(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    known = schema.get("properties", {})
    fields = {key: value for key, value in config.items() if key != "type" or key in known}
    validator = validator_for(schema, default=Draft202012Validator)(schema)
    for error in sorted(validator.iter_errors(fields), key=lambda each: list(map(str, each.path))):
        yield _sentence(error, schema)


def _sentence(error: ValidationError, schema: Mapping[str, Any]) -> str:
    """A message with the path of the error, without the value of a secret property."""
    place, inner, hidden = "", Schema.of(schema), False
    for key in error.path:
        inner = inner.at(key)
        hidden = hidden or is_secret(key, inner)
        place += f"[{key}]" if isinstance(key, int) else f".{key}" if place else str(key)
    text = f"does not meet {error.validator!r} of its schema" if hidden else error.message
    return f"{place}: {text}" if place else text
