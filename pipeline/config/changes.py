"""Holding back a change of the configuration that may come from a partly written file.

A file that is rewritten in place (by `scp`, `cp`, some editors) is valid YAML at many points in
between, with fewer entries than before and after. So a change that removes every chain, every key
of an ingress list, or what the law demands of a step comes into force only when it is seen twice:
the file was saved again with the same content, or is unchanged a minute later. SIGHUP puts it into
force at once.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from core.errors import ConfigurationError
from pipeline.config.law import BasisPolicy, EgressLaw
from pipeline.config.model import Chain, LinkStep, PipelineConfig, PluginSpec, StorageSpec
from pipeline.config.sections import spelled

AGAIN_AFTER = 60.0
"""Seconds after which an unchanged file counts as seen twice."""

_STRICTER = ("scope", "bases", "conditions", "proofs", "signed_only")
"""Keys of `law.basis` whose default accepts the most."""

type Keys = tuple[str, ...]
type _Steps = Mapping[str, LinkStep] | Mapping[str, PluginSpec] | Mapping[str, StorageSpec]


class HeldBackError(ConfigurationError):
    """A valid change is not in force yet; `problems` lists what it removes."""


def losses(old: PipelineConfig, new: PipelineConfig) -> list[str]:
    """What a change removes that a partly written file would lack as well."""
    chains = ["chains: every chain is gone"] if old.chains and not new.chains else []
    keys = [
        f"{spelled(('ingress_auth', name))}: {text}"
        for name, keys in old.ingress_auth.items()
        for text in _lost(keys, new.ingress_auth.get(name, ()))
    ]
    return [*chains, *keys, *_lost_demands(old, new)]


def _lost(old: Keys, new: Keys) -> Iterator[str]:
    gone = [key for key in old if key not in new]
    if old and len(gone) == len(old):
        yield "every key it had is gone"
    elif any(key.startswith(other) for key in gone for other in new):
        yield "a key is the beginning of one that is gone"


def _lost_demands(old: PipelineConfig, new: PipelineConfig) -> Iterator[str]:
    """What the law demanded of steps, chains and bases, and no longer would."""
    yield from _lost_purposes("links", old.links, new.links)
    yield from _lost_purposes("storages", old.storages, new.storages)
    yield from _lost_purposes("tracers", old.tracers, new.tracers)
    yield from _lost_purposes("hooks", old.hooks or {}, new.hooks or {})
    for name, chain in old.chains.items():
        if name in new.chains:
            yield from _lost_in_chain(chain, new.chains[name])
    if old.law and old.law.basis and new.law and new.law.basis:
        yield from _lost_strictness(old.law.basis, new.law.basis)


def _lost_purposes(section: str, old: _Steps, new: _Steps) -> Iterator[str]:
    for name, step in old.items():
        if step.requires and name in new and not new[name].requires:
            yield f"{spelled((section, name))}: requires is gone"


def _lost_strictness(old: BasisPolicy, new: BasisPolicy) -> Iterator[str]:
    usual = BasisPolicy()
    for name in _STRICTER:
        was, now, default = (getattr(policy, name) for policy in (old, new, usual))
        if was != now and now == default:
            yield f"law.basis.{name}: has its default again"


def _lost_in_chain(old: Chain, new: Chain) -> Iterator[str]:
    where = spelled(("chains", old.name))
    if old.verify == "required" and new.verify != "required":
        yield f"{where}.verify: no longer required"
    if old.custody and not new.custody:
        yield f"{where}.custody: is gone"
    egress = new.egress or EgressLaw()
    for name in ("requires", "sign_with", "encrypt_for"):
        if old.egress and getattr(old.egress, name) and not getattr(egress, name):
            yield f"{where}.egress: {name} is gone"


@dataclass(frozen=True, slots=True)
class _Held:
    digest: bytes
    since: float


class ChangeGuard:
    """Holds a change back that removes much, until it is confirmed."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, again_after: float = AGAIN_AFTER
    ) -> None:
        """`clock` is monotonic, in seconds; `again_after` as `AGAIN_AFTER`."""
        self._clock = clock
        self._again_after = again_after
        self._held: _Held | None = None

    @property
    def due(self) -> bool:
        """Whether the unchanged file must be read again, because a change was held back."""
        return self._held is not None and self._clock() - self._held.since >= self._again_after

    def confirm(self, old: PipelineConfig, new: PipelineConfig, content: bytes) -> list[str]:
        """List what a change removes that may come into force now.

        Raises:
            HeldBackError: the change removes too much and is seen for the first time.
        """
        lost, digest = losses(old, new), sha256(content).digest()
        if lost and (self._held is None or self._held.digest != digest):
            self._held = _Held(digest, self._clock())
            raise HeldBackError(lost)
        self._held = None
        return lost

    def forget(self) -> None:
        """Forget the held back change: the file no longer has it, or SIGHUP confirmed it."""
        self._held = None
