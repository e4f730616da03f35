"""What a configuration file says, once read: frozen values, every name already resolved."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any

from pipeline.config.connections import ConnectionSpec, FlowsSpec
from pipeline.config.environment import Filled, Written
from schemas.ingress_key import ConfiguredKey

# A short name for the content of a configuration, recorded with every run.
#
# It must change whenever something that affects a run changes, keys and passwords included, yet
# whoever reads it may know everything in the configuration but one short password. So it is a slow
# hash: every guess takes as long as this does, and a key worth the name is out of reach.

_SALT = b"patchcord configuration"


def slow_digest(content: bytes) -> str:
    """16 hex digits for the content; takes tens of milliseconds and 16 MiB."""
    return hashlib.scrypt(content, salt=_SALT, n=2**14, r=8, p=1, dklen=8).hex()


def canonical(value: object) -> bytes:
    """The same for equal content in any order of keys; 1, 1.0, True and "1" all differ."""
    return repr(_ordered(value)).encode()


def _ordered(value: Any) -> object:
    if is_dataclass(value):
        parts = [part.name for part in fields(value) if part.compare]
        return _ordered({name: getattr(value, name) for name in parts})
    match value:
        case Mapping():
            pairs = [(repr(key), _ordered(item)) for key, item in value.items()]
            return sorted(pairs, key=lambda pair: pair[0])
        case list() | tuple():
            return [_ordered(item) for item in value]
        case set():
            return sorted(map(repr, value))
        case _:
            return value


LINK_RETRIES = 0
"""A link is repeated only when asked: nobody promised that running it twice is harmless."""
STORAGE_RETRIES = 3
MAX_ATTEMPTS = 3
CHAIN_SECONDS = 3600.0
"""A run's time where its chain says none."""
CALL_SECONDS = 300.0
"""The time of one call of a link or storage that says none."""
UNLIMITED = math.inf
"""What `timeout: none` is read as."""


def limit_of(timeout: float | None, default: float | None) -> float | None:
    """The seconds that a `timeout` means, None for any time; the default where it says nothing."""
    seconds = default if timeout is None else timeout
    return None if seconds == UNLIMITED else seconds


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """One configured link, storage, tracer or import: which module, with which options.

    `options` holds only what the file says; the module's own defaults are not in it.
    """

    name: str
    module: str
    # A pip name may carry an access token and options carry keys: neither is ever printed.
    pip_name: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)
    connections: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict, hash=False, repr=False
    )
    """What each connection can lend to a plugin that names it in its options."""
    written: Written = field(default_factory=dict, repr=False, compare=False)
    """The places in the options where YAML turned what is written into something else."""


@dataclass(frozen=True, slots=True)
class StorageSpec(PluginSpec):
    """A storage: with the seconds one call may take (see `limit_of`) and how often it is repeated.

    `unset` names the variables that its options want and the environment lacks. It is empty for
    every storage that an enabled chain writes to.
    """

    timeout: float | None = None
    retries: int = STORAGE_RETRIES
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkStep:
    """A link with the options it has in this place: seconds for one call, and repetitions."""

    name: str
    plugin: PluginSpec
    timeout: float | None = None
    retries: int = LINK_RETRIES


@dataclass(frozen=True, slots=True)
class RetryBackoff:
    """Seconds before a chain's second attempt, and the most before any later one."""

    first: float = 1.0
    max: float = 300.0

    def pause(self, attempt: int, jitter: float) -> float:
        """Seconds after this failed attempt: doubling, then up to a quarter longer.

        `jitter` from 0 to 1 spreads the attempts of runs that failed together.
        """
        doubled = self.first * 2.0 ** min(attempt - 1, 100)
        return min(doubled * (1 + jitter / 4), self.max)


@dataclass(frozen=True, slots=True)
class Chain:
    """Links in order, then storages side by side, then egress. `timeout`: seconds for one run."""

    name: str
    links: tuple[LinkStep, ...] = ()
    storages: tuple[StorageSpec, ...] = ()
    tracers: tuple[PluginSpec, ...] = ()
    ingress_lists: tuple[str, ...] = ()
    egress_lists: tuple[str, ...] = ()
    enabled: bool = True
    timeout: float | None = None
    max_attempts: int = MAX_ATTEMPTS
    retry_backoff: RetryBackoff = RetryBackoff()
    allow_envelopes: bool = False
    """Whether it takes signed and encrypted vCons, which nobody opens here."""
    extensions: tuple[str, ...] = ()
    """The extensions of vCons that its links know, besides `pipeline.vcon.envelope.KNOWN`."""

    @property
    def seconds(self) -> float | None:
        """How long a run may take; None: any time."""
        return limit_of(self.timeout, CHAIN_SECONDS)


# Without slots, because the two cached properties need somewhere to live.
@dataclass(frozen=True)
class PipelineConfig:
    """A whole configuration. Mappings are by name, in the order of the file.

    `links` are as defined, before any chain overrides their options. `ingress_auth` gives the
    keys that open an ingress list. `notes` are remarks for the operator, none of them an error.
    `strict`: an unknown key is an error, in the options of links and storages as well.
    """

    chains: Mapping[str, Chain] = field(default_factory=dict)
    links: Mapping[str, LinkStep] = field(default_factory=dict)
    storages: Mapping[str, StorageSpec] = field(default_factory=dict)
    tracers: Mapping[str, PluginSpec] = field(default_factory=dict)
    imports: Mapping[str, PluginSpec] = field(default_factory=dict)
    ingress_auth: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    ingress_keys: Mapping[str, ConfiguredKey] = field(default_factory=dict, repr=False)
    """Label and limits, by key, of the keys that have some."""
    connections: Mapping[str, ConnectionSpec] = field(default_factory=dict)
    connection_plugins: tuple[str, ...] = ()
    flows: FlowsSpec = field(default_factory=FlowsSpec)
    notes: tuple[str, ...] = ()
    strict: bool = False
    filled: frozenset[Filled] = field(default=frozenset(), repr=False, compare=False)
    """The variables whose values stand in it."""

    @property
    def enabled_chains(self) -> tuple[Chain, ...]:
        """The chains that consume their ingress lists."""
        return tuple(chain for chain in self.chains.values() if chain.enabled)

    @property
    def ingress_lists(self) -> tuple[str, ...]:
        """The lists that enabled chains read, sorted."""
        return tuple(sorted(self._readers))

    def chain_reading(self, ingress_list: str) -> Chain | None:
        """The enabled chain that consumes this list, if any."""
        return self._readers.get(ingress_list)

    @cached_property
    def _readers(self) -> dict[str, Chain]:
        return {name: chain for chain in self.enabled_chains for name in chain.ingress_lists}

    @property
    def content(self) -> bytes:
        """All that affects a run, in canonical form, secrets included: not to be shown or kept.

        Ingress keys, notes, and links and tracers that no chain names do not affect a run.
        """
        plugins = [*self.storages.values(), *self.imports.values()]
        connected = [*self.connections.values()]  # none: as if there were no such thing
        return canonical([self.chains, *plugins, *connected])

    @cached_property
    def hash(self) -> str:
        """16 hex digits that change whenever `content` does; slow the first time it is asked."""
        return slow_digest(self.content)
