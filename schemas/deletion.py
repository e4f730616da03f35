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

    @property
    def failure_text(self) -> str:
        """What was removed and what was not, for the caller."""
        removed = ", ".join(name for name, was_there in self.removed.items() if was_there)
        failures = "; ".join(f"{name}: {error}" for name, error in self.failed.items())
        return f"Removed from: {removed or 'no place'}. Not removed from {failures}"
