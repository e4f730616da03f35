"""Calling steps that must not be repeated unseen; the theory is at the head of `marks.py`."""

from collections.abc import Awaitable, Callable

from core.errors import ConflictError
from core.observability.storable_text import members_of
from pipeline.plugins.errors import describe
from pipeline.redis_client.errors import counted
from pipeline.runs.lease import Checkpoints
from pipeline.runs.marks import Mark, OutcomeUnknownError, UncertainStepError
from pipeline.runs.run_state import RunState

MOST_MEMBERS = 1000
"""Errors of a group that are looked at."""


async def call_once[T](
    checkpoints: Checkpoints, live: RunState, mark: Mark, call: Callable[[], Awaitable[T]]
) -> T:
    """Call a step with a mark, which stays in the run until the caller knows that it has ended.

    An ordinary exception means that it has failed and is known to; then the mark leaves. It stays
    after a time limit, after an error by which the plugin says that it does not know, if Redis
    failed meanwhile, and if the call is broken off.

    Raises:
        UncertainStepError: an earlier call of this attempt has not ended.
        Parked: custody in Postgres does not answer; the step has not begun.
        Exception: what the call raises.
    """
    if any(each.is_of(mark.kind, mark.name) for each in live.marks):
        raise UncertainStepError("its call was broken off")
    try:
        await checkpoints.begin(live, mark)
    except BaseException:  # broken off, too, such as by the time limit of the chain
        live.marks = ()  # the step has not begun
        raise
    with counted() as failures:
        try:
            return await call()
        except ConflictError:  # this worker no longer holds the run
            raise
        except Exception as error:
            if not failures.count and not _is_unknown(error):
                live.marks = ()
            raise


def refuse_to_repeat(live: RunState, error: Exception) -> None:
    """To be called with the error of a step's call: it is not repeated if a mark is left.

    Raises:
        UncertainStepError: so it is.
    """
    if live.marks and not isinstance(error, UncertainStepError):
        raise UncertainStepError(describe(error)) from error


def _is_unknown(error: BaseException) -> bool:
    waiting, seen = [error], 0
    while waiting and seen < MOST_MEMBERS:
        each, seen = waiting.pop(), seen + 1
        if isinstance(each, OutcomeUnknownError | TimeoutError):
            return True
        waiting += members_of(each)
    return bool(waiting)
