"""Custody has the whole vCon, though its media are beside the document in Redis."""

from __future__ import annotations

from typing import Any

import orjson

from lib.vcon_redis import VconRedis
from tests.integration.custody.custody_scene import CustodyScene, rows
from tests.integration.media.media_scene import beside, is_stripped, recorded, taken_in
from tests.integration.support.pipeline_fixtures import configured, link


def documents(kept: CustodyScene) -> list[Any]:
    """Those that rows have now."""
    found = [row[0] for row in rows(kept.database, "document")]
    return [orjson.loads(bytes(each)) for each in found if each is not None]


async def test_rows_have_the_whole_vcon(kept: CustodyScene) -> None:
    """The row of the acceptance, and that of an egress list after a link's change."""

    def renames(vcon_uuid: str, *_: Any) -> str:
        document = VconRedis().get_vcon_dict(vcon_uuid)
        VconRedis().store_vcon_dict({**(document or {}), "subject": "new"})
        return vcon_uuid

    async with beside("redis", kept.redis):
        vcon = recorded()
        await taken_in(kept, vcon, "in")
        assert is_stripped(kept.client, vcon["uuid"])
        [accepted] = documents(kept)
        assert accepted["dialog"] == vcon["dialog"]
        await kept.start(configured(links=[link(renames, only_through_lib=True)]))
        assert (await kept.ended()).status == "done"
        assert is_stripped(kept.client, vcon["uuid"])
        [forwarded] = documents(kept)
        assert (forwarded["dialog"], forwarded["subject"]) == (vcon["dialog"], "new")
