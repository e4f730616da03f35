"""The errors that a process remembers for `Stats`."""

import logging

from core.observability.recent_errors import MOST, RecentErrors


def test_the_last_errors_without_what_they_quote() -> None:
    """Newest first, bounded; neither arguments nor the texts of exceptions; no warnings."""
    recent = RecentErrors()
    log = logging.Logger("links.tag")
    log.addHandler(recent)
    log.warning("slow")
    log.error("no account %s", "4711", extra={"error": LookupError("of Ann")})
    log.error("failed", exc_info=ValueError("a number of Ann's"))
    last, first = recent.newest_first
    assert (first.logger, first.event, first.error) == (
        "links.tag",
        "no account %s",
        "LookupError",
    )
    assert (last.event, last.error) == ("failed", "ValueError")
    for number in range(100):
        log.error("x%s", number)
    assert len(recent.newest_first) == MOST
