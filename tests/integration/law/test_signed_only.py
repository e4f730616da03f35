"""`signed_only`: a grant counts only inside a signature that is verified at that moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from pipeline.config.law import BasisPolicy, Law, Trust
from pipeline.live_config import Configuration
from pipeline.redis_client import keys
from pipeline.withheld.evaluating import Evaluation
from tests.integration.law.release_scene import Recorded, basis
from tests.integration.support.operations_scene import Operations, operations
from tests.integration.support.pipeline_fixtures import configured
from tests.integration.vcon.test_opened import envelope, pinned
from tests.signed_vcons import UUID, plain

MISSING, DENIED = "LawfulBasisMissingError", "PermissionDeniedError"


class Scene:
    """A chain that reports on signatures, and the evaluation of its vCons."""

    def __init__(self, ops: Operations) -> None:
        self.ops = ops
        self.recorded = Recorded()
        self.configure(Trust(pinned=(pinned().digest,)))

    def configure(self, trust: Trust) -> None:
        """Whose signatures count."""
        chains = configured(verify="report")
        law = Law(basis=BasisPolicy(signed_only=True), trust=trust)
        self.configuration = Configuration(replace(chains.config, law=law), chains.plugins)
        self.ops.configure(self.configuration)

    async def error(self) -> str | None:
        """Why the vCon may not be used for `crm`."""
        evaluation = Evaluation(self.ops.redis, self.configuration, self.recorded)
        return (await evaluation.decision(UUID, "crm")).error

    def attach(self, attachment: dict[str, Any]) -> None:
        """Add an attachment to the document, as a link does."""
        text = orjson.dumps(attachment)
        self.ops.client.execute_command("JSON.ARRAPPEND", f"vcon:{UUID}", "$.attachments", text)


@pytest.fixture
async def scene(redis_url: str) -> AsyncIterator[Scene]:
    """An empty Redis."""
    async with operations(redis_url) as opened:
        yield Scene(opened)


async def test_a_grant_inside_the_signature(scene: Scene) -> None:
    """It counts, unless something denies: in the document as it is now, or beside it."""
    await scene.ops.take(envelope(attachments=[basis("crm")]), "in")
    assert await scene.error() is None
    scene.recorded.add("crm", granted=False)
    assert await scene.error() == DENIED
    scene.recorded.bases.clear()
    scene.attach(basis("crm", granted=False))
    assert await scene.error() == DENIED


async def test_a_signature_that_is_no_longer_trusted(scene: Scene) -> None:
    """Its grants do not count any more, nor those of an original that was changed."""
    await scene.ops.take(envelope(attachments=[basis("crm")]), "in")
    scene.configure(Trust())
    assert await scene.error() == MISSING
    scene.configure(Trust(pinned=(pinned().digest,)))
    assert await scene.error() is None
    other = envelope(attachments=[basis("crm")], uuid=UUID.replace("1", "2"))
    for wrong in (orjson.dumps(other), b"{", b""):
        scene.ops.client.set(keys.signed(UUID), wrong)
        assert await scene.error() == MISSING


@pytest.mark.parametrize("signs", [True, False])
async def test_a_grant_that_was_added(scene: Scene, signs: bool) -> None:
    """It does not count, whether the vCon is signed or not; a recorded one does."""
    await scene.ops.take(envelope() if signs else plain(), "in")
    scene.attach(basis("crm"))
    assert await scene.error() == MISSING
    scene.recorded.add("crm", granted=True)
    assert await scene.error() is None
