"""Whether our own Redis failed during one call of a plugin.

Redis has failed, too, where one of this service's own keys had another type (`keys.own_type`).

A plugin may hide that Redis was away or had no memory: it raises another error, or returns None as
if the vCon was to be halted. What counts is what the call's own commands met, in whichever task or
thread it gave them. Errors of another Redis, which a plugin has a client of its own for, do not
count.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self


@dataclass(slots=True)
class Failures:
    """What the commands of one call met; a call within another one counts for both."""

    around: Self | None = None
    count: int = 0
    """Commands that found Redis away or without memory, or a key of ours with another type."""
    no_memory: int = 0
    """Those of them that found it without memory."""
    unusable: str = ""
    """The last key of ours that had another type."""


_present: ContextVar[Failures | None] = ContextVar("redis_failures", default=None)


@contextmanager
def counted() -> Iterator[Failures]:
    """Count the failures of what is called inside."""
    failures = Failures(_present.get())
    token = _present.set(failures)
    try:
        yield failures
    finally:
        _present.reset(token)


@contextmanager
def uncounted() -> Iterator[None]:
    """Leave failures to the caller, who may do without the commands that are given inside."""
    token = _present.set(None)
    try:
        yield
    finally:
        _present.reset(token)


def note(*, no_memory: bool = False, unusable: str = "") -> None:
    """A command given here and now has failed."""
    failures = _present.get()
    while failures is not None:
        failures.count += 1
        failures.no_memory += no_memory
        failures.unusable = unusable or failures.unusable
        failures = failures.around
