"""Why a run that was claimed does not begin at all, though nothing of it has failed."""

from pipeline.envelope import unwelcome
from pipeline.live_run import LiveRun


def objection(live: LiveRun) -> str | None:
    """The reason; None when there is none. It will be the same at every later attempt."""
    claim, chain = live.claim, live.chain
    if claim.attempt > chain.max_attempts:
        if live.not_settled:
            return live.not_settled
        return f"the process running it died {claim.attempt - 1} times"
    if claim.envelope and not chain.allow_envelopes:
        return unwelcome(chain)
    return None
