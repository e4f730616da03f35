"""vcon-server's error tracking, for plugins that begin by switching it on.

Nothing is sent anywhere: what a plugin raises is in the log with its traceback, in the run's record
and, where traces are sent, on its span.
"""

import logging

log = logging.getLogger(__name__)


def init_error_tracker() -> None:
    """Does nothing: errors are looked after already."""


def init_sentry() -> None:
    """Does nothing, for the same reason."""


def capture_exception(error: BaseException) -> None:
    """Write an error that a plugin has dealt with into the log."""
    log.error("a plugin reports an error", exc_info=error)
