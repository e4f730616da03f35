"""A failing plugin's traceback in the log: at WARNING once per cause and minute, else at DEBUG."""

import logging
import time
from collections import OrderedDict
from threading import Lock

from pipeline.plugin_errors import Plugin, describe

log = logging.getLogger(__name__)

QUIET_SECONDS = 60.0
MOST = 1000
"""Causes that are remembered at once; of more, the oldest is told again."""

type Cause = tuple[object, ...]

_told: OrderedDict[Cause, float] = OrderedDict()
_lock = Lock()


def tell_failure(error: Exception, plugin: Plugin) -> None:
    """Log what a plugin has raised, with its name; secrets are taken out of the finished line."""
    level = logging.WARNING if _is_news(_cause(error, plugin), time.monotonic()) else logging.DEBUG
    if log.isEnabledFor(level):
        about = {**plugin, "error": describe(error)}
        log.log(level, "plugin failed", exc_info=error, extra=about)


def _cause(error: Exception, plugin: Plugin) -> Cause:
    """Plugin, type, and the line that raised: texts differ with every vCon."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = last and (last.tb_frame.f_code.co_filename, last.tb_lineno)
    return (*plugin.items(), type(error), place)


def _is_news(cause: Cause, now: float) -> bool:
    with _lock:
        told = _told.get(cause)
        if told is not None and now - told < QUIET_SECONDS:
            return False
        _told[cause] = now
        _told.move_to_end(cause)
        if len(_told) > MOST:
            _told.popitem(last=False)
        return True
