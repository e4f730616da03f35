"""The release of a whole list, page by page: what is still denied keeps nothing else from it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest

from core.errors import InvalidError
from core.operator_interfaces import Call
from pipeline.redis_client import keys
from schemas.operator.law.withheld import ReleaseParameters, ReleaseResult
from tests.integration.law.release_scene import CALL, LawScene, basis, law_scene

pytestmark = pytest.mark.usefixtures("at_once")
LIST = keys.withheld("in")


@pytest.fixture
async def law(redis_url: str) -> AsyncIterator[LawScene]:
    """A list with seven withheld vCons, of which the third, fourth and last are allowed now."""
    async with law_scene(redis_url) as opened:
        opened.configure("second")
        uuids = [await opened.run() for _ in range(7)]
        for each in (uuids[2], uuids[3], uuids[6]):
            granted = orjson.dumps(basis("second"))
            opened.ops.client.execute_command(
                "JSON.ARRAPPEND", keys.vcon(each), "$.attachments", granted
            )
        yield opened


def outcome(result: ReleaseResult) -> tuple[int, int, bool]:
    """How many were released and are still withheld, and whether there are more."""
    return result.released_count, result.withheld_count, result.cursor is not None


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_all_of_a_list(law: LawScene, limit: int) -> None:
    """In pages of any size, with a line for each but the last."""
    told: list[str] = []
    wanted = ReleaseParameters(list_name="in", limit=limit, every=True)
    result = await law.withholding.release(wanted, Call(CALL.author, "x", told.append))
    assert outcome(result) == (3, 4, False)
    assert len(law.ops.list(LIST)) == 4
    assert len(told) == 7 // limit
    assert not told or told[0].startswith(f"{limit} of 7: ")


async def test_page_by_page(law: LawScene) -> None:
    """Each call goes on after those that the one before has left, also if one is gone."""
    first = await law.release(list_name="in", limit=3)
    assert outcome(first) == (1, 2, True)
    second = await law.release(list_name="in", limit=3, cursor=first.cursor)
    assert outcome(second) == (1, 2, True)
    law.ops.client.lrem(LIST, 1, law.ops.list(LIST)[3])
    last = await law.release(list_name="in", limit=3, cursor=second.cursor)
    assert outcome(last) == (1, 2, True)  # two were looked at again
    assert outcome(await law.release(list_name="in", cursor=last.cursor)) == (0, 0, False)
    assert len(law.ops.list(LIST)) == 3
    for wrong in ("", "x", "1", "-1:", "1:x"):
        with pytest.raises(InvalidError, match="cursor: use the cursor"):
            await law.release(list_name="in", cursor=wrong)


async def test_of_many_the_first_are_listed(law: LawScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are counted."""
    monkeypatch.setattr("schemas.operator.law.withheld.MOST_LISTED", 2)
    result = await law.release(list_name="in", every=True)
    assert [len(result.released), len(result.withheld)] == [2, 2]
    assert outcome(result) == (3, 4, False)
