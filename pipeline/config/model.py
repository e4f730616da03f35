"""The parsed configuration: frozen values, every name resolved to what it names."""

import hashlib
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any, Final, Literal, TypedDict

from core.concurrency.backoff import LONGER, Backoff
from pipeline.config.connections import ConnectionSpec, FlowsSpec
from pipeline.config.environment import Filled, Written
from pipeline.config.law import EgressLaw, EraseSpec, Law, LawKey, Verify
from schemas.ingress_key import ConfiguredKey

# The configuration's hash, recorded with every run.
#
# It changes with everything that affects a run, keys and passwords included. A reader of the hash
# may know the whole configuration except one short password, and could try passwords until the hash
# matches. So the hash is slow (scrypt): each try costs tens of milliseconds and 16 MiB.

_SALT = b"patchcord configuration"
_LATER: Final[Mapping[str, object]] = {
    "destination": None,
    "repeat_uncertain": None,
    "requires": None,
    "erase": None,
    "verify": "off",
    "decrypt_with": (),
    "custody": False,
    "egress": None,
}
"""Fields that are newer than the hash: left out while unset, so that the hash stays as it was."""


def slow_digest(content: bytes) -> str:
    """16 hex digits of a scrypt hash; takes tens of milliseconds and 16 MiB."""
    return hashlib.scrypt(content, salt=_SALT, n=2**14, r=8, p=1, dklen=8).hex()


def canonical(value: object) -> bytes:
    """Equal bytes for equal content, in any order of keys; 1, 1.0, True and "1" differ."""
    return repr(_ordered(value)).encode()


def _ordered(value: Any) -> object:
    if is_dataclass(value):
        parts = {part.name: getattr(value, part.name) for part in fields(value) if part.compare}
        kept = {
            name: part for name, part in parts.items() if name not in _LATER or part != _LATER[name]
        }
        return _ordered(kept)
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
"""A link is repeated only where the configuration sets `retries`: it may not be idempotent."""
STORAGE_RETRIES = 3
MAX_ATTEMPTS = 3
REFUSE: Final = "refuse"
DISABLE: Final = "disable"
type OnBroken = Literal["refuse", "disable"]
"""What a broken plugin of a chain does: see `pipeline.config.broken`."""


class Lenience(TypedDict):
    """How a configuration is read, as keyword arguments of `yaml_file.read`."""

    strict: bool
    weak_keys: bool
    on_broken: OnBroken


type OnError = Literal["continue", "fail"]
HOOK_SECONDS = 10.0
"""The time limit of one call of a hook that sets none."""
CHAIN_SECONDS = 3600.0
"""The time limit of a run whose chain sets none."""
CALL_SECONDS = 300.0
"""The time limit of one call of a link or storage that sets none."""
UNLIMITED = math.inf
"""The parsed value of `timeout: none`."""


def limit_of(timeout: float | None, default: float | None) -> float | None:
    """The limit in seconds of a parsed `timeout`, or the default; None: no limit."""
    seconds = default if timeout is None else timeout
    return None if seconds == UNLIMITED else seconds


@dataclass(frozen=True, slots=True)
class Breaker:
    """Opens after so many failures in a row, at first for so many seconds; 0 failures: never."""

    failures: int = 5
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Destination:
    """A server that steps call, with its limits, which hold for all replicas together."""

    name: str
    max_in_flight: int | None = None
    requests_per_minute: int | None = None
    breaker: Breaker | None = None
    """None only while the configuration is read."""


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """One configured link, storage, tracer or import: a module and its options.

    `options` are those of the file, without the module's defaults.
    """

    name: str
    module: str
    # A pip name may contain an access token, and options contain keys: no `repr` shows them.
    pip_name: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)
    connections: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict, hash=False, repr=False
    )
    """The options that each connection lends to a plugin whose option `connection` names it."""
    written: Written = field(default_factory=dict, repr=False, compare=False)
    """The places in the options whose value YAML read as another than the one written."""
    requires: str | None = None
    """The purpose for which a vCon must have a basis before this plugin gets it."""
    erase: EraseSpec | None = None
    """Where its receiver is told of erasures; only links and storages have it."""


@dataclass(frozen=True, slots=True)
class StorageSpec(PluginSpec):
    """A storage, with the time limit of one call in seconds (see `limit_of`) and its retries.

    `unset` names the variables of its options that the environment lacks. It is empty for every
    storage that an enabled chain writes to.
    """

    timeout: float | None = None
    retries: int = STORAGE_RETRIES
    unset: tuple[str, ...] = ()
    destination: Destination | None = None


@dataclass(frozen=True, slots=True)
class HookSpec(PluginSpec):
    """A module with hooks, with the time limit of one call in seconds (see `limit_of`)."""

    timeout: float | None = None
    on_error: OnError = "continue"


@dataclass(frozen=True, slots=True)
class LinkStep:
    """A link as one chain uses it, with the time limit of one call in seconds and its retries."""

    name: str
    plugin: PluginSpec
    timeout: float | None = None
    retries: int = LINK_RETRIES
    destination: Destination | None = None
    requires: str | None = None
    """As in `PluginSpec`, which has it as well."""


@dataclass(frozen=True, slots=True)
class RetryBackoff:
    """Seconds before a chain's second attempt, and the maximum before any later one."""

    first: float = 1.0
    max: float = 300.0

    def pause(self, attempt: int, jitter: Callable[[], float] = random.random) -> float:
        """Seconds to wait after failed attempt number `attempt`, counted from 1.

        `jitter`: as in `Backoff`; makes a pause up to a quarter longer.
        """
        return Backoff(self.first, self.max, jitter, LONGER).wait(attempt - 1)


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
    """Whether it accepts signed and encrypted vCons, which the pipeline does not open."""
    extensions: tuple[str, ...] = ()
    """The vCon extensions that its links support, besides `pipeline.vcon.envelope.KNOWN`."""
    repeat_uncertain: bool | None = None
    """True: a step with the effect "once" is repeated like others if its outcome is unknown."""
    verify: Verify = "off"
    """What is done with the signatures of vCons that come in."""
    decrypt_with: tuple[LawKey, ...] = ()
    custody: bool = False
    """Whether versions, deliveries and events of its vCons are recorded in the ledger."""
    egress: EgressLaw | None = None
    weight: int = field(default=1, compare=False)
    """Its share of a worker's slots while other chains have vCons, too; affects no run."""
    on_broken: OnBroken = field(default="refuse", compare=False)
    broken: tuple[str, ...] = field(default=(), compare=False)
    """The problems of its plugins, which disable it. Replicas may differ in them: not hashed."""

    @property
    def opens(self) -> bool:
        """Whether it opens or demands signed or encrypted vCons."""
        return self.verify != "off" or bool(self.decrypt_with)

    @property
    def is_on(self) -> bool:
        """Whether it reads its ingress lists: it is enabled, and not broken."""
        return self.enabled and not self.broken

    @property
    def seconds(self) -> float | None:
        """The time limit of a run; None: no limit."""
        return limit_of(self.timeout, CHAIN_SECONDS)


# no slots: `cached_property` needs an instance dictionary
@dataclass(frozen=True)
class PipelineConfig:
    """A whole configuration. Mappings are by name, in the order of the file.

    `links` are as defined, before a chain overrides their options. `ingress_auth` has the ingress
    keys of each ingress list. `notes` are remarks for the operator, not errors. `strict`: an
    unknown key is an error, in the options of links and storages as well. `on_broken`: that of
    chains which do not say otherwise.
    """

    chains: Mapping[str, Chain] = field(default_factory=dict)
    links: Mapping[str, LinkStep] = field(default_factory=dict)
    storages: Mapping[str, StorageSpec] = field(default_factory=dict)
    tracers: Mapping[str, PluginSpec] = field(default_factory=dict)
    imports: Mapping[str, PluginSpec] = field(default_factory=dict)
    ingress_auth: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    ingress_keys: Mapping[str, ConfiguredKey] = field(default_factory=dict, repr=False)
    """Label, limits and signing secret of the keys that have any, by key."""
    hooks: Mapping[str, HookSpec] | None = None
    """None: the file has no such section (see `pipeline.plugins.hooks`)."""
    connections: Mapping[str, ConnectionSpec] = field(default_factory=dict)
    connection_plugins: tuple[str, ...] = ()
    flows: FlowsSpec = field(default_factory=FlowsSpec)
    law: Law | None = None
    """None: the file has no such section."""
    notes: tuple[str, ...] = ()
    strict: bool = False
    on_broken: OnBroken = "refuse"
    filled: frozenset[Filled] = field(default=frozenset(), repr=False, compare=False)
    """The environment variables whose values it contains."""
    text: bytes = field(default=b"", repr=False, compare=False)
    """The file that it was read from, if it was."""

    @property
    def enabled_chains(self) -> tuple[Chain, ...]:
        """The chains that read their ingress lists."""
        return tuple(chain for chain in self.chains.values() if chain.is_on)

    @property
    def ingress_lists(self) -> tuple[str, ...]:
        """The lists that enabled chains read, sorted."""
        return tuple(sorted(self._readers))

    def chain_reading(self, ingress_list: str) -> Chain | None:
        """The enabled chain that reads this list, if any."""
        return self._readers.get(ingress_list)

    @property
    def intake_lists(self) -> tuple[str, ...]:
        """The lists that vCons are taken into, sorted: also those of disabled chains."""
        return tuple(sorted(self._takers))

    def chain_taking(self, ingress_list: str) -> Chain | None:
        """The chain whose rules hold for what is put into this list, if any.

        The enabled chain that reads it, else a disabled one: its vCons wait until it is enabled.
        A broken one comes before one with `enabled: 0`: it reads the list once it is mended.
        """
        return self._takers.get(ingress_list)

    @cached_property
    def _takers(self) -> dict[str, Chain]:
        chains = [each for each in self.chains.values() if not each.is_on]
        chains.sort(key=lambda each: not each.enabled)
        disabled = {name: chain for chain in reversed(chains) for name in chain.ingress_lists}
        return disabled | self._readers

    @cached_property
    def _readers(self) -> dict[str, Chain]:
        return {name: chain for chain in self.enabled_chains for name in chain.ingress_lists}

    @property
    def destinations(self) -> dict[str, Destination]:
        """The destinations of links and storages, by name, in the order of the file."""
        given = [link.destination for link in self.links.values()]
        given += [storage.destination for storage in self.storages.values()]
        return {destination.name: destination for destination in given if destination is not None}

    @property
    def content(self) -> bytes:
        """Everything that affects a run, in canonical form; it contains secrets.

        Ingress keys, notes, and links and tracers that no chain names do not affect a run.
        """
        plugins = [*self.storages.values(), *self.imports.values(), *(self.hooks or {}).values()]
        # Flattened, so the hash without connections is the same as before connections existed.
        law = () if self.law is None else (self.law,)
        return canonical([self.chains, *plugins, *self.connections.values(), *law])

    @cached_property
    def hash(self) -> str:
        """16 hex digits that change whenever `content` does; the first access is slow."""
        return slow_digest(self.content)
