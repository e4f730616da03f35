"""The Redis lists that a configuration uses, by purpose."""

from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import InvalidError, UnknownNameError
from pipeline.config.chains import list_name_problem
from pipeline.config.parser import Chain, PipelineConfig
from pipeline.redis_client import keys

LONGEST_NAME = 512
"""Characters of a list's name that a caller gives."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Names of lists, each once. `ingress` includes the run lists.

    A list that one chain writes and another reads is both ingress and egress.
    """

    ingress: list[str]
    egress: list[str]
    dead: list[str]
    withheld: list[str]

    @property
    def all(self) -> list[str]:
        """The names of all lists, each once."""
        return _once([*self.ingress, *self.egress, *self.dead, *self.withheld])

    @property
    def handed_out(self) -> list[str]:
        """The egress lists that no chain reads: another program takes vCons out of them."""
        return [name for name in self.egress if name not in self.ingress]

    @property
    def passed_on(self) -> list[str]:
        """The egress lists that a chain reads."""
        return [name for name in self.egress if name in self.ingress]


def lists_of(config: PipelineConfig) -> Lists:
    """The lists of every chain, also of disabled ones, whose lists may still hold vCons."""
    chains = config.chains.values()
    ingress = [name for chain in chains for name in claimed_lists(chain)]
    dead = [keys.dead_letters(name) for name in ingress]
    dead += [keys.storage_dead_letters(name) for name in config.storages]
    egress = [name for chain in chains for name in chain.egress_lists]
    withheld = [keys.withheld(name) for name in ingress]
    return Lists(_once(ingress), _once(egress), _once(dead), _once(withheld))


def check_unread(config: PipelineConfig, name: str, *, any_list: bool) -> None:
    """Check an ingress list that no chain names.

    Raises:
        UnknownNameError: unless `any_list`.
        InvalidError: no list may have this name.
    """
    if not any_list:
        raise UnknownNameError("ingress list", name, config.intake_lists)
    if problem := _problem_of(name):
        raise InvalidError(f"ingress_lists: {problem}")


def _problem_of(name: str) -> str | None:
    if len(name) > LONGEST_NAME:
        return f"a list's name has at most {LONGEST_NAME} characters"
    return list_name_problem(name)


def claimed_lists(chain: Chain) -> list[str]:
    """The lists that workers claim from for a chain."""
    return [*chain.ingress_lists, keys.run_list(chain.name)]


def lists_beside(chain: Chain) -> list[str]:
    """A chain's lists that the configuration does not name: its run list and dead letters."""
    letters = [keys.dead_letters(name) for name in claimed_lists(chain)]
    letters += [keys.storage_dead_letters(storage.name) for storage in chain.storages]
    return [keys.run_list(chain.name), *letters]


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
