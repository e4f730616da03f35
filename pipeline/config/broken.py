"""Chains with a broken plugin: refused with the whole configuration, or disabled alone.

A plugin is broken if its entry is wrong, its module is missing or cannot be imported, or its
options are refused. The chain's `on_broken`, else CONFIG_ON_BROKEN, decides. A disabled chain keeps
its lists: its vCons wait as those of a chain with `enabled: 0`. A plugin that a chain with
`on_broken: refuse` names as well refuses the whole configuration. Every other problem of a file
does so, too.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from pipeline.config.chains import entries_named
from pipeline.config.environment import Where
from pipeline.config.model import DISABLE, PipelineConfig
from pipeline.config.sections import Findings, spelled

PARTS = ("links", "storages", "tracers")
"""The sections that define plugins, and the keys of a chain that name them."""
MOST_TEXTS = 20
"""Problems that are kept of one chain."""


@dataclass(slots=True)
class Broken:
    """Sorts problems: those of disabled chains, and remarks on plugins that no chain uses."""

    config: PipelineConfig
    texts: defaultdict[str, list[str]] = field(default_factory=partial(defaultdict, list))
    notes: list[str] = field(default_factory=list)

    def takes(self, text: str, chains: Iterable[str]) -> bool:
        """Whether a problem of these chains' plugin disables them; else it refuses everything.

        Without any chain, CONFIG_ON_BROKEN decides alone.
        """
        names = list(dict.fromkeys(chains))
        decided = [self.config.chains[name].on_broken for name in names] or [self.config.on_broken]
        if set(decided) != {DISABLE}:
            return False
        for name in names:
            self.texts[name].append(text)
        if not names:
            self.notes.append(f"{text}; no chain is disabled by that")
        return True

    def config_without(self) -> PipelineConfig:
        """The configuration with the broken chains disabled."""
        return disabled(self.config, self.texts)


def disabled(config: PipelineConfig, broken: Mapping[str, Sequence[str]]) -> PipelineConfig:
    """The configuration with these chains disabled, each with its problems."""
    chains = {
        name: replace(chain, broken=(*chain.broken, *broken[name][:MOST_TEXTS]))
        if name in broken
        else chain
        for name, chain in config.chains.items()
    }
    return replace(config, chains=chains)


def set_aside(config: PipelineConfig, findings: Findings) -> PipelineConfig:
    """Take the problems out of the findings that disable chains, and disable these."""
    broken, left = Broken(config), []
    for where, text in findings.found:
        chains = _chains_of(where, config)
        if chains is None or not broken.takes(f"{spelled(where)}: {text}", chains):
            left.append((where, text))
    findings.found[:] = left
    findings.notes.extend(broken.notes)
    return broken.config_without()


def _chains_of(where: Where, config: PipelineConfig) -> list[str] | None:
    """The enabled chains that a problem of a plugin concerns; None for any other problem."""
    if len(where) > 2 and where[0] == "chains" and where[2] in PARTS:
        return [str(where[1])]
    if len(where) > 1 and where[0] in PARTS:
        section = str(where[0])
        return [c.name for c in config.enabled_chains if where[1] in entries_named(c, section)]
    return None
