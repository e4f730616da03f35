"""Signed versions for egress lists: in custody before they are in a list, and found by erasures."""

from __future__ import annotations

import orjson

from core.db.vcon_index import VconIndexRows
from pipeline.admin.egress import Egress
from pipeline.custody.places import Places
from pipeline.redis_client import keys
from tests.integration.custody.custody_scene import CustodyScene, rows
from tests.integration.support.pipeline_fixtures import configured
from tests.integration.support.signed_egress import signing


async def sent(kept: CustodyScene) -> tuple[str, str]:
    """A vCon, and its version in an egress list."""
    vcon_uuid = await kept.accept()
    await kept.start(configured(law=signing()))
    assert (await kept.finished()).status == "done"
    [version] = kept.elements("out")
    return vcon_uuid, version


async def test_a_version_has_a_row_until_it_is_read(kept: CustodyScene) -> None:
    """With the document that the list got; the vCon's own row has ended."""
    vcon_uuid, version = await sent(kept)
    first, second = rows(kept.database, "CAST(vcon_uuid AS text), open, outcome, document")
    assert first[:3] == (vcon_uuid, [], "done")
    assert second[:3] == (version, ["out"], None)
    text = kept.client.execute_command("JSON.GET", keys.vcon(version))
    assert orjson.loads(second[3]) == orjson.loads(text)
    egress = Egress(kept.redis, vcon_expiry=60, places=Places(kept.redis, kept.keeper))
    await egress.pop("out", 1)
    assert rows(kept.database, "open, outcome")[1] == ([], "read")


async def test_an_erasure_finds_the_version(kept: CustodyScene) -> None:
    """The ledger has it with the end of the run, although the chain has no `custody`."""
    vcon_uuid, version = await sent(kept)
    columns = "CAST(vcon_uuid AS text), CAST(prior AS text), origin, form"
    expected = [(version, vcon_uuid, "amended", "signed")]
    assert rows(kept.database, columns, "law_versions") == expected
    found = VconIndexRows(kept.database).made_from([vcon_uuid], 10, 0)
    assert found == [(version, vcon_uuid)]
