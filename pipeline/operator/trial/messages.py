"""What the service and the process of a trial send each other.

The service sends pickles. The process answers in JSON, which may come from a plugin's code: it is
checked like any other input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from pipeline.config.model import PipelineConfig
from pipeline.law.basis.records import RecordedBasis
from schemas.operator.configuration import ModuleState

type How = Literal["run", "stub", "skip"]
type Ended = Literal["done", "halted", "failed"]

MOST_STEPS = 1000
MOST_FOUND = 200
"""Problems, and notes, of a check."""
LONGEST_TEXT = 500
_Text = Field("", max_length=LONGEST_TEXT)


@dataclass(frozen=True, slots=True)
class Setup:
    """What the process loads: the links of chains in two configurations."""

    before: PipelineConfig
    after: PipelineConfig
    before_chains: tuple[str, ...]
    after_chains: tuple[str, ...]
    modules: Path | None
    """MODULES_DIR: modules that are installed there can be imported."""
    settings: Mapping[str, Any]
    """The plain settings, for `lib`."""
    memory: int
    """Bytes that a trial may take in addition to what is loaded."""
    seconds: float
    """The process ends itself if a trial takes longer."""


@dataclass(frozen=True, slots=True)
class CheckSetup:
    """A configuration whose plugins and connections are to be checked."""

    config: PipelineConfig
    modules: Path | None
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the recorded run did: the outcome of its links, by name, up to the one that ended it."""

    outcomes: Mapping[str, str]
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One trial: a vCon, and the chain of each configuration that it goes through."""

    vcon_uuid: str
    document: bytes
    before: str | None
    after: str
    told: Mapping[str, How] = field(default_factory=dict)
    recorded: Recorded | None = None
    """None for a given vCon: then the chain of the running configuration is tried, too."""
    bases: Sequence[RecordedBasis] = ()
    """What was recorded beside the vCon for its purposes."""


class StepTried(BaseModel):
    """What became of one link."""

    link: str = Field(max_length=LONGEST_TEXT)
    how: How
    outcome: Literal["ok", "halted", "failed", "skipped"]
    why: str = _Text
    """Why it was not called."""
    error: str = _Text
    seconds: float = Field(0, ge=0)


class Passage(BaseModel):
    """One vCon's way through one chain."""

    ended: Ended
    error: str = _Text
    steps: list[StepTried] = Field(default_factory=list, max_length=MOST_STEPS)
    view: dict[str, list[tuple[str, str]]] = Field(default_factory=dict)
    expires: int | None = None
    recycle: bool = False
    """A link still runs in the process, which must not be used again."""


class Tried(BaseModel):
    """The answer to a `Request`; `given` is the view of the vCon as it came."""

    after: Passage
    before: Passage | None = None
    given: dict[str, list[tuple[str, str]]] = Field(default_factory=dict)
    undone: list[str] = Field(default_factory=list, max_length=MOST_STEPS)
    """The links of the recorded run whose entries were taken out first."""


class LinkState(BaseModel):
    """A link of a chain as it was loaded."""

    link: str
    module: str
    pure: bool = False
    error: str = ""


class Loaded(BaseModel):
    """The links that the process has loaded, by chain."""

    before: dict[str, list[LinkState]]
    after: dict[str, list[LinkState]]


class Checked(BaseModel):
    """The answer to a `CheckSetup`."""

    problems: list[str] = Field(default_factory=list, max_length=3 * MOST_FOUND)
    notes: list[str] = Field(default_factory=list, max_length=3 * MOST_FOUND)
    not_checked: list[str] = Field(default_factory=list, max_length=3 * MOST_FOUND)
    modules: list[ModuleState] = Field(default_factory=list, max_length=3 * MOST_FOUND)
