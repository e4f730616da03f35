"""The outcome of deleting a vCon."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Deletion:
    """The outcome at each place asked: `redis`, and the storages by their names.

    `removed`: whether the vCon was there. `failed`: the error of each storage that may still have
    it.
    """

    removed: dict[str, bool]
    failed: dict[str, str] = field(default_factory=dict)
