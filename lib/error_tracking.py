"""The interface of vcon-server's error tracking, for plugins that initialise it.

Nothing is sent to a tracker: a plugin's exception is logged with its traceback, stored in the run's
record and, with tracing on, recorded on its span.
"""

import logging

log = logging.getLogger(__name__)


def init_error_tracker() -> None:
    """Does nothing: errors are recorded without it."""


def init_sentry() -> None:
    """Does nothing: errors are recorded without it."""


def capture_exception(error: BaseException) -> None:
    """Log an error that the plugin has handled itself."""
    log.error("plugin reported an error", exc_info=error)
