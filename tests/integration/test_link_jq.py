"""The jq link with jq itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.errors import ConfigurationError
from links import jq_link
from pipeline.config import parse
from pipeline.modules import load
from pipeline.store import VconStore
from tests.guests.scene import TAGGED, canonical, connected

VCON = canonical(TAGGED) | {"subject": "A bike to repair"}
UUID = VCON["uuid"]
MISSING = "00000000-0000-8000-8000-000000000000"


@pytest.fixture(autouse=True)
async def store(redis_url: str) -> AsyncIterator[VconStore]:
    """A store with one vCon behind the connection that guests find."""
    async with connected(redis_url) as store:
        await store.put(VCON)
        yield store


async def passes(vcon_uuid: str = UUID, **options: object) -> bool:
    """Whether the vCon goes on."""
    return await asyncio.to_thread(jq_link.run, vcon_uuid, "jq", options) == vcon_uuid


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        (".", True),
        ('.subject | test("bike")', True),
        ('.subject == "x"', False),
        ("empty", False),
        (".nothing", False),
        (".parties | length", True),
        ("0", False),
        ('""', False),
        ("true, false", True),
        ("false, true", False),
    ],
)
async def test_the_first_output_counts(text: str, matches: bool) -> None:
    """And `forward_matches: false` turns it round."""
    assert await passes(filter=text) is matches
    assert await passes(filter=text, forward_matches=False) is not matches


async def test_a_filter_that_fails_on_a_vcon_is_an_error_without_its_content() -> None:
    """It is no match that would let the vCon vanish."""
    with pytest.raises(ValueError, match="string cannot be added") as error:
        await passes(filter=".subject + 1")
    assert "bike" not in str(error.value)


async def test_a_vcon_that_is_not_there_ends_the_run() -> None:
    """Whatever the filter."""
    assert not await passes(MISSING, filter=".")


def test_what_is_no_filter_is_told_at_the_start() -> None:
    """With what jq says."""
    links = {"it": {"module": "links.jq_link", "options": {"filter": ".x |"}}}
    with pytest.raises(ConfigurationError, match="no program of jq: jq: error: syntax error"):
        load(parse({"links": links, "chains": {"c": {"links": ["it"]}}}, {}))
