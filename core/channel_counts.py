"""What of a channel's reports is counted."""

import logging

from core import channel_effects as effects
from core import metrics

log = logging.getLogger(__name__)


def count(effect: effects.Effect) -> None:
    """Count it, if it is something that is counted."""
    match effect:
        case effects.HeartbeatMissed():
            metrics.HEARTBEATS_MISSED.inc()
        case effects.JoinRefused():
            metrics.JOINS_REFUSED.inc()
        case effects.Dropped(reason=effects.DropReason.MALFORMED):
            metrics.MALFORMED.inc()
            log.warning("what is no message was dropped", extra={"reason": effect.detail})
