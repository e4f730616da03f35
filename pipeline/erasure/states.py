"""When a destination is tried again, and what the destinations say about the erasure. Pure.

A destination is open while it has a next time (`due_at`): not tried yet, away, or deleted and not
read again. Told ones wait for an answer, without being tried.

    pending -> deleted -> verified          a storage that can delete (and be read)
    pending -> told -> acknowledged         a receiver that is told
    pending -> cannot | unreachable         nothing can be done by this service

    requested -> held | running -> waiting | manual -> complete | complete_with_exceptions

`waiting`: a destination is tried again. `manual`: only answers are missing; without them it ends
with exceptions after `ANSWER_WITHIN`, which is the time that the law gives.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from core.concurrency.backoff import Backoff
from schemas.law.erasures import EXCEPTIONS, ErasureState, ErasureTarget, TargetState

ANSWER_WITHIN: Final = timedelta(days=30)
READ_AGAIN: Final = 5
"""Attempts at a storage, after which it stays `deleted` if it still cannot be read again."""
_PAUSES = Backoff(first=5.0, cap=900.0)


class Outlook(NamedTuple):
    """The state of an erasure, and when it is looked at again; None if it ends now."""

    state: ErasureState
    due_at: datetime | None


def after_failure(target: ErasureTarget, error: str, now: datetime) -> ErasureTarget:
    """The destination once an attempt has failed; `error`: a type, without a text."""
    attempts = target.attempts + 1
    due_at = now + timedelta(seconds=_PAUSES.wait(attempts - 1))
    return target.model_copy(update={"attempts": attempts, "error": error, "due_at": due_at})


def now_in(
    target: ErasureTarget,
    state: TargetState,
    *,
    error: str | None = None,
    due_at: datetime | None = None,
) -> ErasureTarget:
    """The destination after an attempt that has led to this state."""
    update = {"state": state, "attempts": target.attempts + 1, "error": error, "due_at": due_at}
    return target.model_copy(update=update)


def outlook(targets: Sequence[ErasureTarget], now: datetime) -> Outlook:
    """What the destinations say about the erasure."""
    if due := [each.due_at for each in targets if each.due_at is not None]:
        return Outlook("waiting", min(due))
    told = [each.changed_at + ANSWER_WITHIN for each in targets if each.state == "told"]
    if told and max(told) > now:
        return Outlook("manual", max(told))
    has_exceptions = any(each.state in EXCEPTIONS for each in targets)
    return Outlook("complete_with_exceptions" if has_exceptions else "complete", None)
