"""The kinds of steps of a flow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowlang.language.retry import Retry


@dataclass(frozen=True, kw_only=True)
class Step:
    """The fields of every kind of step."""

    label: str
    """Its id, or where it stands: `steps[2].do[0]`."""
    id: str | None = None
    condition: Any = True
    timeout: float | None = None
    on_error: "tuple[Step, ...] | None" = None
    """Steps to run after a failure, before the flow goes on; None ends the flow."""
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TaskStep(Step):
    """Calls one task."""

    task: str
    connection: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry = field(default_factory=Retry)


@dataclass(frozen=True, kw_only=True)
class ParallelStep(Step):
    """Runs branches at once; the first failure cancels the others."""

    branches: tuple[tuple[Step, ...], ...]


@dataclass(frozen=True, kw_only=True)
class IfStep(Step):
    """Runs one of two lists."""

    test: Any
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SwitchStep(Step):
    """Runs the list of the first case that has the value."""

    value: Any
    cases: tuple[tuple[Any, tuple[Step, ...]], ...]
    default: tuple[Step, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ForEachStep(Step):
    """Runs a list once for each item, one after the other."""

    items: Any
    variable: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class SubflowStep(Step):
    """Runs another flow of the same folder."""

    flow: str
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ExitStep(Step):
    """Ends the flow, which has succeeded."""

    reason: str
    outputs: Mapping[str, Any] = field(default_factory=dict)
