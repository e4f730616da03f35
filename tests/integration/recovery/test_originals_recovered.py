"""A recovery puts the signed original of a vCon beside its document again."""

from __future__ import annotations

import orjson
import pytest

from core.concurrency.helper_process import call_inline
from pipeline.config.law import Law, Trust
from pipeline.config.model import Chain
from pipeline.ingest.entry import make_entry
from pipeline.redis_client import keys, originals
from tests.integration.recovery.recovery_scene import RecoveryScene
from tests.signed_vcons import UUID, alone, certify, current, plain, rsa_key, signed


async def test_the_original_is_beside_the_document_again(recovering: RecoveryScene) -> None:
    """Byte for byte, and the document is the payload."""
    await recovering.recover()
    by = certify("harbour", rsa_key(), making=current())
    law = Law(trust=Trust(pinned=(by.digest,)))
    text = orjson.dumps(signed(by=by, header={"x5c": alone(by)}), option=orjson.OPT_INDENT_2)
    chain = Chain("main", verify="required")
    entry = await make_entry(call_inline, text, 8_000_000, [chain], law)
    await recovering.intake.ingest(entry, ["in"])
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.elements("in") == [UUID]
    assert await originals.read(recovering.connection, UUID) == text
    document = orjson.loads(recovering.client.execute_command("JSON.GET", keys.vcon(UUID)))
    assert document["parties"][0]["name"] == "Ann"
    assert not {"payload", "pc:signed"} & document.keys()


@pytest.mark.parametrize("order", [1, -1])
async def test_the_verified_original_of_several_rows_is_put_back(
    recovering: RecoveryScene, order: int
) -> None:
    """Whether it came first, or replaced one that was not verified."""
    await recovering.recover()
    by = certify("harbour", rsa_key(), making=current())
    law = Law(trust=Trust(pinned=(by.digest,)))
    text = orjson.dumps(signed(by=by, header={"x5c": alone(by)}))
    both = [(text, "in", "required"), (signed(), "out", "report")]
    for given, name, verify in both[::order]:
        chain = Chain("main", verify=verify)
        entry = await make_entry(call_inline, given, 8_000_000, [chain], law)
        await recovering.intake.ingest(entry, [name])
    recovering.client.flushall()
    await recovering.recover()
    assert [recovering.elements(name) for name in ("in", "out")] == [[UUID], [UUID]]
    assert await originals.read(recovering.connection, UUID) == text
    assert recovering.client.keys("pc:signed:*:*") == []


@pytest.mark.parametrize("size", [1, 400_000])
async def test_a_verified_original_for_a_list_that_has_the_vcon_is_put_back(
    recovering: RecoveryScene, size: int
) -> None:
    """It replaced one that was not verified, before the run of the list had begun."""
    await recovering.recover()
    by = certify("harbour", rsa_key(), making=current())
    law = Law(trust=Trust(pinned=(by.digest,)))
    whole = plain(subject="x" * size)
    text = orjson.dumps(signed(whole, by=by, header={"x5c": alone(by)}))
    for given, verify in ((signed(whole), "report"), (text, "required"), (text, "required")):
        entry = await make_entry(call_inline, given, 8_000_000, [Chain("a", verify=verify)], law)
        await recovering.intake.ingest(entry, ["in"])
    assert recovering.elements("in") == [UUID]
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.elements("in") == [UUID]
    assert await originals.read(recovering.connection, UUID) == text
    assert await originals.is_sealed(recovering.connection, UUID)


async def test_a_plain_duplicate_for_another_list_does_not_take_the_original_away(
    recovering: RecoveryScene,
) -> None:
    """Its row is the later one, and is queued first."""
    await recovering.recover()
    text = orjson.dumps(signed())
    for given, name in ((text, "in"), (plain(), "two")):
        chain = Chain("main", verify="report")
        entry = await make_entry(call_inline, given, 8_000_000, [chain], Law())
        await recovering.intake.ingest(entry, [name])
    recovering.client.flushall()
    await recovering.recover()
    assert [recovering.elements(name) for name in ("in", "two")] == [[UUID], [UUID]]
    assert await originals.read(recovering.connection, UUID) == text


async def test_a_document_that_was_laid_over_is_not_sealed_afterwards(
    recovering: RecoveryScene,
) -> None:
    """Custody takes the document in Redis, which is not the one that was signed."""
    await recovering.recover()
    entry = await make_entry(call_inline, signed(), 8_000_000, [Chain("a", verify="report")], Law())
    await recovering.intake.ingest(entry, ["in"])
    recovering.client.execute_command("JSON.SET", keys.vcon(UUID), "$.parties[0].name", '"Mallory"')
    assert await recovering.intake.enqueue([UUID], "two") == []
    recovering.client.flushall()
    await recovering.recover()
    assert recovering.document(UUID)["parties"][0]["name"] == "Mallory"
    assert not await originals.is_sealed(recovering.connection, UUID)
