"""The last errors that this process has logged, without what they quote: for `Stats`."""

import logging
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, override

MOST = 20
LONGEST = 200


class LoggedError(NamedTuple):
    """A line at ERROR or above. `error` is the type alone: texts may quote a conversation."""

    at: datetime
    logger: str
    event: str
    error: str | None


class RecentErrors(logging.Handler):
    """Keeps the last `MOST` lines at ERROR and above."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._kept: deque[LoggedError] = deque(maxlen=MOST)

    @property
    def newest_first(self) -> Sequence[LoggedError]:
        """The lines, the newest first."""
        return tuple(reversed(self._kept))

    @override
    def emit(self, record: logging.LogRecord) -> None:
        at = datetime.fromtimestamp(record.created, UTC)
        event = str(record.msg)[:LONGEST]  # without its arguments
        self._kept.append(LoggedError(at, record.name, event, _type_of(record)))


def _type_of(record: logging.LogRecord) -> str | None:
    if record.exc_info and record.exc_info[0] is not None:
        return record.exc_info[0].__name__
    told = record.__dict__.get("error")
    return type(told).__name__ if isinstance(told, BaseException) else None


RECENT_ERRORS = RecentErrors()
"""Of this process, once logging is configured."""
