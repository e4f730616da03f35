"""A change of the configuration that takes away so much that half a file may be its cause.

A file that is rewritten in place (by `scp`, `cp`, some editors) is valid YAML at many points in
between, and says less there than before and after. So a change that removes every chain, or every
key of an ingress list, comes into force only when it is there twice: the file was saved again with
the same content, or is still the same a minute later. SIGHUP takes it at once.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from core.errors import ConfigurationError
from pipeline.config.model import PipelineConfig
from pipeline.config.sections import spelled

AGAIN_AFTER = 60.0
"""Seconds after which a file that is still the same counts as there twice."""

type Keys = tuple[str, ...]


class HeldBackError(ConfigurationError):
    """The change is sound, and not in force yet; `problems` says what it removes."""


def losses(old: PipelineConfig, new: PipelineConfig) -> list[str]:
    """What a change removes that half a file would, too."""
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
    """Remembers the change that was held back last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds and never goes back."""
        self._clock = clock
        self._held: _Held | None = None

    @property
    def due(self) -> bool:
        """Whether what was held back should be looked at again, though it has not changed."""
        return self._held is not None and self._clock() - self._held.since >= AGAIN_AFTER

    def confirm(self, old: PipelineConfig, new: PipelineConfig, content: bytes) -> list[str]:
        """What is removed by a change that may come into force now.

        Raises:
            HeldBackError: it removes too much, and is there for the first time.
        """
        lost, digest = losses(old, new), sha256(content).digest()
        if lost and (self._held is None or self._held.digest != digest):
            self._held = _Held(digest, self._clock())
            raise HeldBackError(lost)
        self._held = None
        return lost

    def forget(self) -> None:
        """What was held back is no longer in the file, or is asked for."""
        self._held = None
