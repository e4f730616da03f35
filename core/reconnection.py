"""When to connect again, and what of it is worth a line in the log."""

import logging
from datetime import UTC, datetime

from core import metrics
from core.backoff import Backoff
from core.connection_loss import Loss, LossKind
from core.credentials import Credentials, causes_of_refusal
from core.errors import ConfigurationError

log = logging.getLogger(__name__)

HEALTHY_AFTER = 10.0
"""Seconds of being joined after which the next pause is the shortest again."""
REFUSED_AGAIN = 15.0
"""Longest pause after a refusal, in seconds: what was refused may be allowed any moment."""


class Reconnection:
    """Counts what went wrong since the last healthy connection."""

    def __init__(self, backoff: Backoff, credentials: Credentials) -> None:
        """`backoff` gives the pauses; a refusal makes `credentials` try another token."""
        self._credentials = credentials
        self._backoff = backoff
        self._failures = 0
        self._joined_at: float | None = None
        self._told: object = None
        self._refusals: dict[int | None, str] = {}

    def joined(self, now: float) -> None:
        """Requests come in; whatever goes wrong next is news."""
        if self._joined_at is None:
            self._joined_at = now
        self._told = None
        self._refusals.clear()

    def pause(self, loss: Loss, now: float) -> float:
        """Seconds to wait before the next attempt: none if there is a token not tried yet."""
        if loss.kind is LossKind.REFUSED and self._credentials.is_untried:
            return 0.0
        if self._joined_at is not None and now - self._joined_at >= HEALTHY_AFTER:
            self._failures = 0
        self._joined_at = None
        pause = self._backoff.wait(self._failures)
        self._failures += 1
        return min(pause, REFUSED_AGAIN) if loss.kind is LossKind.REFUSED else pause

    def is_news(self, told: object) -> bool:
        """Whether the last thing told since the last join was anything else."""
        is_new, self._told = told != self._told, told
        return is_new

    def report(self, loss: Loss) -> None:
        """Tell the operator, if it is news.

        Raises:
            ConfigurationError: when no other try can help.
        """
        if loss.fatal:
            raise ConfigurationError(loss.words)
        if loss.kind is LossKind.REFUSED:
            self._report_refusal(loss)
        elif self.is_news(loss):
            log.warning(loss.words, extra={} if loss.code is None else {"code": loss.code})

    def _report_refusal(self, loss: Loss) -> None:
        metrics.CONNECTIONS_REFUSED.inc()
        credential = self._credentials.present
        causes = causes_of_refusal(credential, datetime.now(UTC))
        known = {"token_id": credential.token_id, "token_expires": credential.expires_at}
        self._credentials.refused()
        if self._credentials.present is not credential:
            known["next_token_id"] = self._credentials.present.token_id
        if self._refusals.get(credential.token_id) != causes:  # several tokens take turns
            self._refusals[credential.token_id] = causes
            told = {name: value for name, value in known.items() if value is not None}
            log.error("%s: %s", loss.words, causes, extra=told)
