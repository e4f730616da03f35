"""What a run waits for, in words."""

from __future__ import annotations

import pytest

from pipeline.config.model import Destination
from pipeline.destinations.replies import Later, waiting_text
from pipeline.ledger.deliveries import AWAY
from pipeline.operator.views.explanation import explained, without_texts
from pipeline.runs.lease import CUSTODY_AWAY
from pipeline.worker.admission import RECORDS_AWAY
from schemas.operator.timeline import Place

TO = Destination("api.openai.com", max_in_flight=20, requests_per_minute=600)


def test_each_reason_has_a_text() -> None:
    """With the numbers that an operator can change."""
    texts = [
        waiting_text(TO, Later(2, "full", in_flight=20, waiting=31)),
        waiting_text(TO, Later(2, "rate", waiting=31)),
        waiting_text(TO, Later(12.4, "open")),
        waiting_text(TO, Later(1, "probe")),
    ]
    assert texts == [
        "waits for destination api.openai.com: 20 of 20 in flight, 31 runs wait",
        "waits for destination api.openai.com: 600 requests a minute, 31 runs wait",
        "waits for destination api.openai.com: it failed repeatedly and is not called now; "
        "next try in 12 s",
        "waits for destination api.openai.com: it failed repeatedly, and another run tries "
        "whether it answers again",
    ]


def test_why_says_what_a_parked_run_waits_for() -> None:
    """No attempt has failed; the error of the last call is left out where texts are."""
    error = f"{waiting_text(TO, Later(9, 'open'))}; the last call failed: ValueError: of Ann"
    place = Place(kind="retry", name="in", chain="main", seconds=9, error=error)
    state, text, command = explained([place], [], known=True)
    assert (state, command) == ("queued", "destinations")
    assert text == f"Chain main {error}; it is due in 9 s"
    _, brief, _ = explained(*without_texts([place], []), known=True)
    assert brief.startswith("Chain main waits for destination api.openai.com: it failed")
    assert "Ann" not in brief


@pytest.mark.parametrize("error", [RECORDS_AWAY, AWAY, CUSTODY_AWAY])
def test_why_says_that_a_run_waits_for_postgres(error: str) -> None:
    """No attempt has failed, and the text holds nothing of the vCon."""
    place = Place(kind="retry", name="in", chain="main", seconds=5, error=error)
    for places in ([place], without_texts([place], [])[0]):
        told = explained(places, [], known=True)
        assert told == ("queued", f"Chain main {error}; it is due in 5 s", "status")
