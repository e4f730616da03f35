"""Holding back a change of the configuration that may come from a partly written file.

A file that is rewritten in place (by `scp`, `cp`, some editors) is valid YAML at many points in
between, with fewer entries than before and after. So a change that removes every chain, or every
key of an ingress list, comes into force only when it is seen twice: the file was saved again with
the same content, or is unchanged a minute later. SIGHUP puts it into force at once.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from core.errors import ConfigurationError
from pipeline.config.model import PipelineConfig
from pipeline.config.sections import spelled

AGAIN_AFTER = 60.0
"""Seconds after which an unchanged file counts as seen twice."""

type Keys = tuple[str, ...]


class HeldBackError(ConfigurationError):
    """A valid change is not in force yet; `problems` lists what it removes."""


def losses(old: PipelineConfig, new: PipelineConfig) -> list[str]:
    """What a change removes that a partly written file would lack as well."""
    chains = ["chains: every chain is gone"] if old.chains and not new.chains else []
    return chains + [
        f"{spelled(('ingress_auth', name))}: {text}"
        for name, keys in old.ingress_auth.items()
        for text in _lost(keys, new.ingress_auth.get(name, ()))
    ]


def _lost(old: Keys, new: Keys) -> Iterator[str]:
    gone = [key for key in old if key not in new]
    if old and len(gone) == len(old):
        yield "every key it had is gone"
    elif any(key.startswith(other) for key in gone for other in new):
        yield "a key is the beginning of one that is gone"


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
