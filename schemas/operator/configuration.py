"""Comparing a configuration with the running one, and trying it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_BYTES = 1024 * 1024
"""Bytes of a configuration."""
MOST_VCONS = 200
"""vCons of one trial."""
MOST_ROWS = 1000
"""Rows of one table of a result."""

type Name = Annotated[str, Field(min_length=1, max_length=512)]
type Text = Annotated[str, Field(max_length=MOST_BYTES, description="the text of a config.yml")]


class ConfigurationText(BaseModel, defer_build=True):
    """A configuration to compare with the running one."""

    model_config = ConfigDict(extra="forbid")

    content: Text


class NoParameters(BaseModel, defer_build=True):
    """No arguments."""

    model_config = ConfigDict(extra="forbid")


class ShownConfiguration(BaseModel, defer_build=True):
    """The running configuration, with masks in the place of secrets and `${NAME}` unfilled."""

    hash: str
    notes: list[str]
    document: dict[str, Any]


class Change(BaseModel, defer_build=True):
    """An entry of a section that is added, removed or changed; `details` are one line each."""

    section: str
    name: str
    change: Literal["added", "removed", "changed"]
    details: list[str] = []


class ListChange(BaseModel, defer_build=True):
    """An ingress list whose reader changes. `waiting`: its vCons now, None if not known."""

    name: str
    before: str | None
    after: str | None
    waiting: int | None = None


class KeyChange(BaseModel, defer_build=True):
    """Ingress keys of one list and label; the keys themselves are not shown."""

    ingress_list: str
    label: str
    change: Literal["added", "revoked", "changed"]
    count: int


class ModuleState(BaseModel, defer_build=True):
    """A module that enabled chains or `imports` need, other than those of the service itself."""

    module: str
    pip_name: str | None
    used_by: list[str]
    state: Literal["present", "other version", "would be installed", "missing"]
    detail: str = ""


class ConfigurationDiff(BaseModel, defer_build=True):
    """What a configuration would change. With `problems` it would not come into force."""

    same: bool
    hash_before: str
    hash_after: str | None
    problems: list[str] = []
    notes: list[str] = []
    chains: list[Change] = []
    sections: list[Change] = []
    """Links, storages, tracers, imports, connections and flows."""
    lists: list[ListChange] = []
    keys: list[KeyChange] = []
    modules: list[ModuleState] = []
    restart: list[str] = []
    """What is in force only after a restart."""
    confirm: list[str] = []
    """Why the file is taken only when it is seen twice, or after SIGHUP."""
    not_checked: list[str] = []


class Trial(BaseModel, defer_build=True):
    """A configuration to try, on recorded runs or on given vCons."""

    model_config = ConfigDict(extra="forbid")

    content: Text
    vcons: list[dict[str, Any]] = Field([], max_length=MOST_VCONS)
    last: int = Field(50, ge=1, le=MOST_VCONS, description="recorded runs, if no vCons are given")
    chain: Name | None = None
    run: list[Name] = Field([], max_length=100)
    stub: list[Name] = Field([], max_length=100)
    skip: list[Name] = Field([], max_length=100)


class Difference(BaseModel, defer_build=True):
    """One difference between what a vCon was and what it would be."""

    part: str
    """outcome, error, tags, analysis, attachments, dialog or members."""
    change: Literal["added", "removed", "changed"]
    label: str


class TriedStep(BaseModel, defer_build=True):
    """What became of one link in a trial."""

    link: str
    how: Literal["run", "stub", "skip"]
    outcome: Literal["ok", "halted", "failed", "skipped"]
    why: str = ""
    error: str = ""
    seconds: float = 0


class TriedVcon(BaseModel, defer_build=True):
    """One vCon's trial, compared with its recorded run or with a trial of the running chain."""

    vcon: str
    chain: str
    run: str | None = None
    compared_with: Literal["recorded run", "running configuration", "the vCon as given"]
    before: str
    """The outcome of what it is compared with."""
    after: str
    same: bool
    differences: list[Difference] = []
    steps: list[TriedStep] = []
    seconds: float = 0


class NotTried(BaseModel, defer_build=True):
    """A vCon without a result."""

    vcon: str
    run: str | None = None
    why: str


class LinkPlan(BaseModel, defer_build=True):
    """How a link of a tried chain is treated, unless a vCon's record says otherwise."""

    chain: str
    link: str
    module: str
    how: Literal["run", "stub", "skip"]
    why: str = ""


class Totals(BaseModel, defer_build=True):
    """Numbers of vCons."""

    tried: int = 0
    same: int = 0
    changed: int = 0
    failed: int = 0
    """Of those that changed: they ended well before, and fail now."""
    not_tried: int = 0


class TrialResult(BaseModel, defer_build=True):
    """The result of a trial."""

    verdict: Literal["same", "changed", "fails", "nothing tried", "not valid"]
    """`fails`: at least one vCon ended well before, and fails now."""
    problems: list[str] = []
    notes: list[str] = []
    links: list[LinkPlan] = []
    vcons: list[TriedVcon] = []
    not_tried: list[NotTried] = []
    totals: Totals = Totals()
