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
from tests.signed_vcons import UUID, alone, certify, current, rsa_key, signed


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
