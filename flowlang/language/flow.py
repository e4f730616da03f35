"""A flow parsed from YAML, with its inputs and outputs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from flowlang.exceptions import FlowValidationError
from flowlang.language.parsing import parse_steps
from flowlang.language.references import resolved, variables_in
from flowlang.language.shapes import items, mapping, name, only, seconds, text
from flowlang.language.steps import Step

_KEYS = {"flow", "description", "version", "connections", "inputs", "steps", "outputs", "timeout"}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "any": (object,),
}
_OTHER_NAMES = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
}


@dataclass(frozen=True)
class Input:
    """One input of a flow."""

    name: str
    type: str = "any"
    required: bool = True
    default: Any = None


@dataclass(frozen=True)
class Output:
    """One output of a flow."""

    name: str
    value: Any


@dataclass(frozen=True)
class Flow:
    """A flow, checked as far as possible without running it."""

    name: str
    steps: tuple[Step, ...]
    description: str = ""
    connections: Mapping[str, Any] | None = None
    inputs: tuple[Input, ...] | None = None
    outputs: tuple[Output, ...] = ()
    timeout: float | None = None
    folder: Path | None = None
    """Where it looks for subflows."""
    file: Path | None = None
    """Where it was read from; None for a text."""
    document: Any = None

    @cached_property
    def variables(self) -> frozenset[str]:
        """The environment's variables that it refers to."""
        return frozenset(variables_in(self.document))

    @classmethod
    def parse(cls, document: str | Mapping[str, Any], folder: Path | None = None) -> "Flow":
        """From YAML, or from what was read out of it. Raises FlowValidationError."""
        fields = _loaded(document) if isinstance(document, str) else document
        if not isinstance(fields, Mapping) or not fields.get("flow"):
            raise FlowValidationError("Flow definition must have a 'flow' name")
        if "steps" not in fields:
            raise FlowValidationError("Flow definition must have 'steps'")
        only(fields, _KEYS, "Flow definition")
        given = fields.get("inputs")
        return cls(
            name=text(fields["flow"], "flow"),
            steps=parse_steps(fields["steps"], "steps"),
            description=str(fields.get("description") or ""),
            connections=mapping(fields.get("connections"), "connections"),
            inputs=None if given is None else tuple(map(_input, items(given, "inputs"))),
            outputs=tuple(map(_output, items(fields.get("outputs") or [], "outputs"))),
            timeout=seconds(fields.get("timeout"), "Flow definition"),
            folder=folder,
            document=fields,
        )

    @classmethod
    def read(cls, path: Path) -> "Flow":
        """From a file. Raises FlowValidationError, with the file's name and not its folder."""
        try:
            flow = cls.parse(path.read_text(encoding="utf-8"), path.parent)
            return replace(flow, file=path.resolve())
        except OSError as error:
            raise FlowValidationError(f"{path.name}: {error.strerror}") from None
        except (UnicodeDecodeError, FlowValidationError) as error:
            raise FlowValidationError(f"{path.name}: {error}") from error

    def checked_inputs(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs with defaults; a flow that declares none takes any.

        Raises FlowValidationError.
        """
        if self.inputs is None:
            return dict(given)
        unknown = sorted(given.keys() - {each.name for each in self.inputs})
        if unknown:
            known = ", ".join(each.name for each in self.inputs) or "none"
            raise FlowValidationError(f"Unknown input {', '.join(unknown)}; inputs are: {known}")
        return {each.name: _checked(each, given) for each in self.inputs}

    def results(self, roots: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs. Raises FlowExecutionError for one that refers to nothing."""
        return {each.name: resolved(each.value, roots) for each in self.outputs}


def _loaded(document: str) -> Any:
    try:
        return yaml.safe_load(document)
    except (yaml.YAMLError, ValueError) as error:
        raise FlowValidationError(f"This is no YAML: {_problem(error)}") from None


def _problem(error: Exception) -> str:
    # str(error) quotes the line, which may contain a password; quoted words may be one
    if not isinstance(error, yaml.MarkedYAMLError):
        return type(error).__name__
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + re.sub(r"'[^'<]{2,}'", "'...'", error.problem or error.context or "")


def _input(given: Any) -> Input:
    fields = mapping({"name": given} if isinstance(given, str) else given, "inputs")
    identity = name(fields.get("name"), "inputs")
    only(fields, {"name", "type", "required", "default", "description"}, f"input '{identity}'")
    kind = fields.get("type", "any")
    kind = _OTHER_NAMES.get(kind, kind)
    if kind not in _TYPES:
        known = ", ".join(_TYPES)
        raise FlowValidationError(f"input '{identity}': type '{kind}' is none of {known}")
    required = bool(fields.get("required", "default" not in fields))
    return Input(identity, kind, required, fields.get("default"))


def _checked(declared: Input, given: Mapping[str, Any]) -> Any:
    if declared.name not in given:
        if declared.required:
            raise FlowValidationError(f"Required input '{declared.name}' not provided")
        return declared.default
    value = given[declared.name]
    if value is None and not declared.required:
        return declared.default
    is_flag = isinstance(value, bool) and declared.type in ("integer", "number")
    if is_flag or not isinstance(value, _TYPES[declared.type]):
        kind = type(value).__name__
        raise FlowValidationError(f"Input '{declared.name}' must be {declared.type}, not {kind}")
    return value


def _output(given: Any) -> Output:
    fields = mapping({"name": given} if isinstance(given, str) else given, "outputs")
    only(fields, {"name", "value", "description", "type"}, "outputs")
    identity = text(fields.get("name"), "outputs.name")
    return Output(identity, fields.get("value", f"${{{identity}}}"))
