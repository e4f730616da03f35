"""How a received vCon came, for the ledger: the form, and the signers whose signatures held."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from core.concurrency.thread_pool import one_at_a_time
from core.errors import InvalidError, TooLargeError
from pipeline.config.law import Law, Trust
from pipeline.redis_client import originals
from pipeline.redis_client.client import RedisConnection

type LawInForce = Callable[[], Law | None]


def no_law() -> None:
    """For a configuration without the section `law`."""


async def signers_of(
    connection: RedisConnection, vcon_uuid: str, law: Law | None
) -> Sequence[str] | None:
    """The trusted certificates of the original that was opened, as SHA-256; None if there is none.

    Empty if the original is not verified, as `verify: report` accepts it.

    Raises:
        UnavailableError: Redis cannot be reached.
    """
    original = await originals.read(connection, vcon_uuid)
    if original is None:
        return None
    trust = Trust() if law is None else law.trust
    return await one_at_a_time(_trusted, original, trust)


def _trusted(original: bytes, trust: Trust) -> Sequence[str]:
    from pipeline.law.reading.opening import opened  # noqa: PLC0415 -- loads cryptography

    try:
        found = opened(original, trust, (), datetime.now(UTC))
    except (InvalidError, TooLargeError):
        return []
    return [each.certificate for each in found.signers if each.trusted_by and found.verified]
