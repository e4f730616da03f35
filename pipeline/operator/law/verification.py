"""Verifies a vCon under `law.trust`, and gives out the signed original that is kept of it.

Nothing is decrypted: that is for chains with `decrypt_with`, and would be an oracle here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core.concurrency.thread_pool import one_at_a_time
from core.operator_interfaces import Call, Operation
from pipeline.config.law import Trust
from pipeline.law.reading.forms import Limits, form_of
from pipeline.live_config import Configuration
from pipeline.operator.parts import Parts
from pipeline.operator.row import Row
from pipeline.redis_client import originals
from pipeline.redis_client.client import RedisConnection
from pipeline.storages.lookup import VconLookup
from pipeline.vcon.envelope import as_object
from pipeline.vcon.opened import is_unchanged
from schemas.operator.law.verification import VerifiedSigner, VerifyQuery, VerifyResult
from schemas.uuids import canonical_uuid

if TYPE_CHECKING:
    from pipeline.law.reading.opening import Opened

VERIFY = Operation(
    "verify", "Verify the signatures of a vCon", VerifyQuery, VerifyResult, people=True
)

LAID_OVER = (
    "warning: the document here is not the signed one: another program has changed it;"
    " chains with verify: required refuse it"
)


class Verification:
    """Verifies vCons that are given, or that are kept."""

    def __init__(
        self,
        connection: RedisConnection,
        configuration: Configuration,
        lookup: VconLookup,
        most_bytes: int,
    ) -> None:
        self._connection = connection
        self._configuration = configuration
        self._lookup = lookup
        self._most_bytes = most_bytes

    async def verify(self, query: VerifyQuery, _call: Call) -> VerifyResult:
        """The result for one vCon.

        Raises:
            UnknownNameError, GoneError: there is none with this uuid.
            InvalidError, TooLargeError: what was given is no vCon in one of the three forms.
            UnavailableError: Redis cannot be reached.
        """
        given: Any = query.vcon
        is_changed = False
        if query.vcon_uuid is not None:
            document = await self._lookup.find(query.vcon_uuid)
            original = await originals.read(self._connection, query.vcon_uuid)
            given = document if original is None else original
            if original is not None and not await originals.is_sealed(
                self._connection, query.vcon_uuid
            ):
                is_changed = not await one_at_a_time(is_unchanged, document, original)
        law = self._configuration.config.law
        trust = Trust() if law is None else law.trust
        result = await one_at_a_time(_result, given, trust, self._most_bytes)
        if query.vcon_uuid is not None and result.vcon_uuid is None:
            result.vcon_uuid = query.vcon_uuid
        if is_changed:
            result.findings.append(LAID_OVER)
        return result if query.original else result.model_copy(update={"original": None})


def _result(given: Mapping[str, Any] | bytes, trust: Trust, most_bytes: int) -> VerifyResult:
    from pipeline.law.reading.opening import opened  # noqa: PLC0415 -- loads cryptography

    document = as_object(given, most_bytes)
    form = form_of(document)
    if form == "encrypted":
        error = "it is encrypted, and nothing is decrypted here"
        return VerifyResult(form=form, layers=[form], verified=False, error=error)
    found = opened(given, trust, (), datetime.now(UTC), Limits(most_bytes))
    return _told(found)


def _told(found: "Opened") -> VerifyResult:
    from pipeline.law.reading.opening import why_not_verified  # noqa: PLC0415 -- see above

    signers = [
        VerifiedSigner(
            place=each.place,
            algorithm=each.algorithm,
            subject=each.subject,
            certificate=each.certificate,
            trusted_by=each.trusted_by,
        )
        for each in found.signers
    ]
    return VerifyResult(
        vcon_uuid=canonical_uuid(found.document.get("uuid")),
        form=found.form,
        layers=list(found.layers),
        verified=found.verified,
        error=why_not_verified(found) or None,
        signers=signers,
        findings=[f"{each.severity}: {each}" for each in found.findings],
        original=None if found.original is None else found.original.decode(),
    )


def rows(parts: Parts) -> list[Row]:
    """The operations of this subject."""
    how = parts.redis, parts.configuration, parts.lookup, parts.settings.max_vcon_bytes
    return [Row(VERIFY, Verification(*how).verify)]
