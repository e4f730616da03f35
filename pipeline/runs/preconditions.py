"""Why a run that was claimed does not begin at all, though nothing of it has failed."""

from dataclasses import replace

import orjson

from pipeline.redis_client.client import RedisConnection
from pipeline.runs.run_state import RunState
from pipeline.runs.vcon_store import VconStore
from pipeline.vcon.envelope import critical_names, inside, named_in, unknown_to, unwelcome


def objection(live: RunState) -> str | None:
    """The reason; None when there is none. It will be the same at every later attempt."""
    claim, chain = live.claim, live.chain
    if claim.attempt > chain.max_attempts:
        if live.not_settled:
            return live.not_settled
        return f"the process running it died {claim.attempt - 1} times"
    if claim.envelope and not chain.allow_envelopes:
        return unwelcome(chain)
    return unknown_to(chain, named_in(claim.critical)) or None


async def look_inside(live: RunState, connection: RedisConnection) -> None:
    """Note which extensions a signed vCon names as critical in its payload, which no script reads.

    Waits for Redis as long as it is away.
    """
    claim = live.claim
    if not claim.envelope or not live.chain.allow_envelopes:
        return
    document = await connection.insist(lambda: VconStore(connection).get(claim.vcon_uuid))
    names = critical_names(inside(document or {}) or {})
    if names:
        told = [*named_in(claim.critical), *names]
        live.claim = replace(claim, critical=orjson.dumps(told).decode())
