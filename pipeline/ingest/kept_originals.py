"""Which signed original stays beside a document when the same vCon comes again with another one.

A verified original replaces one that is not verified, or no longer, so that a chain with
`verify: required` can run what it was sent. In all other cases the one that is kept stays. It is
judged here, at this time and under what the chains trust; `ingest.lua` replaces it only if it is
not the one that was judged.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from core.concurrency.thread_pool import one_at_a_time
from pipeline.config.law import Trust
from pipeline.ingest.entry import Entry
from pipeline.redis_client import originals
from pipeline.redis_client.client import RedisConnection


@dataclass(frozen=True, slots=True)
class Choice:
    """The original that custody gets, and the lines of `ingest.lua` about the one offered."""

    original: bytes = b""
    lines: tuple[str, ...] = ()


NO_ORIGINAL = Choice()
"""For an entry that has none."""


async def offer(connection: RedisConnection, entry: Entry) -> Choice:
    """Offer the original of an entry, and say which one stays beside the document.

    Raises:
        UnavailableError: Redis cannot be reached.
        WrongTypeError: another program keeps something else under its key.
    """
    await originals.offer(connection, entry.vcon_uuid, entry.original)
    digest = originals.digest_of(entry.original)
    kept = await originals.kept_for(connection, entry.vcon_uuid, entry.digests)
    if entry.verified_under is None:
        original = kept.text if kept else entry.original
        return Choice(original, (digest, originals.ANY))
    if kept is not None and await one_at_a_time(_is_verified, kept.text, entry.verified_under):
        return Choice(kept.text, (digest, kept.name))
    return Choice(entry.original, (digest, originals.NONE))


def _is_verified(original: bytes, trust: Trust) -> bool:
    from pipeline.law.reading.opening import is_verified  # noqa: PLC0415 -- loads cryptography

    return is_verified(original, trust, datetime.now(UTC))
