"""The number of attempts of a task, and the pauses between them."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowlang.exceptions import FlowValidationError

_KEYS = {"max_attempts", "delay", "delay_seconds", "backoff", "jitter", "max_delay"}
_FACTORS = {"constant": 1.0, "fixed": 1.0, "none": 1.0, "linear": 0.0, "exponential": 2.0}


@dataclass(frozen=True)
class Retry:
    """`delay`, times `factor` after each attempt; a factor of 0 adds `delay` each time."""

    max_attempts: int = 1
    delay: float = 1.0
    factor: float = 2.0
    jitter: float = 0.0
    max_delay: float = 300.0

    def wait(self, attempt: int) -> float:
        """The seconds to wait after an attempt; the first one is number 0."""
        grown = self.factor**attempt if self.factor else attempt + 1
        spread = 1 + random.uniform(-self.jitter, self.jitter)  # noqa: S311 - no secret
        return min(self.delay * grown, self.max_delay) * spread

    @classmethod
    def parse(cls, given: Any) -> "Retry":
        """From `3`, or from `{max_attempts, delay, backoff, jitter, max_delay}`.

        `backoff` is a factor, `constant`, `linear` or `exponential`; without a `delay`, a number is
        the first delay, which doubles. Raises FlowValidationError.
        """
        if given is None:
            return cls()
        fields = {"max_attempts": given} if isinstance(given, int) else given
        if not isinstance(fields, Mapping) or not fields.keys() <= _KEYS:
            raise FlowValidationError(f"retry is a number of attempts, or has {sorted(_KEYS)}")
        attempts = fields.get("max_attempts", 1)
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            raise FlowValidationError("retry.max_attempts is a whole number from 1 on")
        delay, factor = _pace(fields)
        jitter = fields.get("jitter", 0)
        return cls(
            attempts,
            delay,
            factor,
            0.25 if jitter is True else _seconds(jitter or 0, "jitter"),
            _seconds(fields.get("max_delay", cls.max_delay), "max_delay"),
        )


def _pace(fields: Mapping[str, Any]) -> tuple[float, float]:
    delay = fields.get("delay", fields.get("delay_seconds"))
    backoff = fields.get("backoff")
    if isinstance(backoff, str):
        if backoff not in _FACTORS:
            raise FlowValidationError(f"retry.backoff is a number or one of {sorted(_FACTORS)}")
        return _seconds(1 if delay is None else delay, "delay"), _FACTORS[backoff]
    if delay is None:
        return _seconds(1 if backoff is None else backoff, "backoff"), 2.0
    return _seconds(delay, "delay"), _seconds(1 if backoff is None else backoff, "backoff")


def _seconds(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise FlowValidationError(f"retry.{name} is a number from 0 on")
    return float(value)
