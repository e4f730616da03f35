"""SIGTERM and SIGINT end a service or worker that is still starting, with exit code 0.

After the start `app.signals` handles them as events. Until then the handler raises an exception at
the current line of the start: no channel is joined and no run claimed that would have to be given
back. This file is imported first, and imports nothing that takes time.
"""

import signal
from types import FrameType
from typing import NoReturn

from core.errors import StoppedEarlyError

__all__ = ["StoppedEarlyError", "end_when_asked", "no_longer"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def end_when_asked() -> None:
    """Raise `StoppedEarlyError` on a signal until `app.signals` replaces the handlers.

    SIGHUP, whose default ends the process, is ignored: the configuration is read at the start.
    """
    for signum in SIGNALS:
        signal.signal(signum, _raise)
    signal.signal(signal.SIGHUP, lambda *_: None)  # children do not inherit it, as they do SIG_IGN


def no_longer() -> None:
    """Ignore the signals: the process is about to end."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def _raise(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise StoppedEarlyError
