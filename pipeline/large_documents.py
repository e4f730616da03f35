"""Checking and digesting large vCons beside the event loop, so that small requests go on meanwhile.

A thread helps although it shares the interpreter with the loop: the checks are Python code, which
gives way to the loop every few milliseconds. One document at a time, or their threads would take
turns with each other before the loop has its own.
"""

import threading
from collections.abc import Callable

from core.own_thread import in_own_thread

LARGE = 256_000
"""Bytes from which on a document is looked at in a thread."""
_PER_VALUE = 4
_ONE_AT_A_TIME = threading.Lock()


async def beside_the_loop[T](given: object, work: Callable[[], T]) -> T:
    """What `work` returns, or raises; in a thread if what was given to it is large, or packed."""
    if not is_large(given):
        return work()
    return await in_own_thread(_alone, work)


def _alone[T](work: Callable[[], T]) -> T:
    with _ONE_AT_A_TIME:
        return work()


def is_large(given: object, most: int = LARGE) -> bool:
    """Whether it has more than `most` bytes as JSON, by an estimate that stops once that is sure.

    What is packed may hold any number of them, so it counts as large.
    """
    if isinstance(given, str | bytes):
        return True
    left, todo = most, [given]
    while todo:
        each = todo.pop()
        left -= len(each) if isinstance(each, str) else _PER_VALUE
        if isinstance(each, dict | list):
            left -= _PER_VALUE * len(each)
            if left > 0:
                todo += each.values() if isinstance(each, dict) else each
        if left < 0:
            return True
    return False
