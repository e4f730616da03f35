"""A chain with a law, its recorder plugins, and the release of what is withheld."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from core.operator_interfaces import Call
from pipeline.config.law import BasisPolicy, EgressLaw, Law
from pipeline.law.basis.records import RecordedBasis
from pipeline.live_config import Configuration
from pipeline.operator.law.withheld import Withholding
from pipeline.withheld.evaluating import Evaluation
from pipeline.worker.admission import LawGate
from schemas.ingress_key import Author
from schemas.operator.law.withheld import (
    ReleaseParameters,
    ReleaseResult,
    WithheldPage,
    WithheldQuery,
)
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import configured, link, storage, tracer

CALL = Call(Author(actor="test"), "asked for")


def basis(purpose: str, *, granted: bool = True, seconds: float | None = None) -> dict[str, Any]:
    """An attachment that grants or denies a purpose; it expires in so many seconds."""
    now = datetime.now(UTC)
    expires = None if seconds is None else (now + timedelta(seconds=seconds)).isoformat()
    given = {"purpose": purpose, "granted": granted, "granted_at": now.isoformat()}
    body = {"lawful_basis": "consent", "expiration": expires, "purpose_grants": [given]}
    return {"purpose": "lawful_basis", "party": 0, "dialog": 0, "encoding": "json", "body": body}


class Recorded:
    """What was recorded beside the vCons; a test adds to it."""

    def __init__(self) -> None:
        self.bases: list[RecordedBasis] = []
        self.error: Exception | None = None

    async def of(self, vcon_uuid: str, parties: Sequence[Any]) -> Sequence[RecordedBasis]:
        """All of it."""
        if self.error is not None:
            raise self.error
        return self.bases

    def add(self, purpose: str, *, granted: bool) -> None:
        """Record a grant or a denial."""
        number, now = len(self.bases) + 1, datetime.now(UTC)
        self.bases.append(RecordedBasis(number, "subject", granted, now, purpose))


class LawScene:
    """The operations half with workers, under a law."""

    def __init__(self, ops: Operations) -> None:
        self.ops = ops
        self.recorded = Recorded()
        self.calls: list[str] = []
        self.evaluation = Evaluation(ops.redis, ops.configuration, self.recorded)
        ops.workers.law_gate = LawGate(self.evaluation)
        letters = ops.letters
        self.withholding = Withholding(ops.redis, ops.configuration, letters, self.recorded)

    def configure(self, *gated: str, **changes: Any) -> None:
        """Two links, two storages and a tracer; those in `gated` require a purpose of their name.

        `egress` among them: the egress list, too.
        """

        def required(made: tuple[Any, Any]) -> tuple[Any, Any]:
            spec, loaded = made
            return replace(spec, requires=spec.name if spec.name in gated else None), loaded

        found = configured(
            links=[required(link(self._link, name)) for name in ("first", "second")],
            storages=[required(storage(self._saver(name), name)) for name in ("shelf", "crm")],
            tracers=[required(tracer(self._trace, "trace"))],
            law=EgressLaw(requires="egress") if "egress" in gated else None,
            **changes,
        )
        law = Law(basis=BasisPolicy(skew=0))
        self.ops.configure(Configuration(replace(found.config, law=law), found.plugins))

    async def _link(self, vcon_uuid: str, name: str, _options: Any) -> str:
        self.calls.append(name)
        return vcon_uuid

    def _saver(self, name: str) -> Any:
        async def save(*_: Any) -> None:
            self.calls.append(name)

        return save

    async def _trace(self, _vcon_in: str, _vcon_out: str, *rest: Any) -> None:
        self.calls.append(f"trace {rest[2]}")

    def called(self) -> list[str]:
        """Which plugins were called since this was last asked."""
        found = list(self.calls)
        self.calls.clear()
        return found

    async def run(self, *attachments: dict[str, Any]) -> str:
        """Let a vCon with these attachments come in and run; its uuid."""
        vcon_uuid = await self.ops.ingest("in", attachments=list(attachments))
        await self.ops.work()
        return vcon_uuid

    async def release(self, *vcon_uuids: str, **wanted: Any) -> ReleaseResult:
        """Release these."""
        asked = ReleaseParameters(vcon_uuids=list(vcon_uuids), **wanted)
        return await self.withholding.release(asked, CALL)

    async def page(self, **query: Any) -> WithheldPage:
        """What is withheld."""
        return await self.withholding.page(WithheldQuery(**query), CALL)


@asynccontextmanager
async def law_scene(redis_url: str) -> AsyncIterator[LawScene]:
    """An empty Redis."""
    async with operations(redis_url) as opened:
        yield LawScene(opened)
