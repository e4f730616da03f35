"""What SIGTERM and SIGINT do to a service or worker that is still starting: it ends, with 0.

They are handled as events once everything is built (`app.signals`). Until then a handler raises an
exception wherever the start just is: nothing was joined or claimed that had to be given back. This
file is imported before all that takes time, and imports nothing that does.
"""

import signal
from types import FrameType
from typing import NoReturn

from core.errors import StoppedEarlyError

__all__ = ["StoppedEarlyError", "end_when_asked", "no_longer"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def end_when_asked() -> None:
    """Raise `StoppedEarlyError` on a signal, until something else handles it.

    SIGHUP, which would end the process, does nothing: the configuration is about to be read.
    """
    for signum in SIGNALS:
        signal.signal(signum, _raise)
    signal.signal(signal.SIGHUP, lambda *_: None)  # children do not inherit it, as they do SIG_IGN


def no_longer() -> None:
    """Let signals change nothing any more: the process is about to end."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def _raise(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise StoppedEarlyError
