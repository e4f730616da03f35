"""Lists that no chain reads, taken as vcon-server takes them (API_ANY_LIST)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.errors import InvalidError, UnavailableError, UnknownNameError
from core.observability.metrics import UNKNOWN, VCONS_RECEIVED
from pipeline.config.parser import Chain, PipelineConfig
from pipeline.live_config import Configuration
from pipeline.plugins.loader import Plugins
from schemas.ingress_key import Author, NewKey
from tests.integration.support.operations_scene import FOR_EVER, Operations, operations
from tests.integration.support.partner_scene import Apis
from tests.integration.support.pipeline_fixtures import a_vcon, configured, new_uuid

RESERVED = ("pc:locks", "run:main", "DLQ:in", "vcon:x", "context:x", "tel:+1", "vcons", "", "a\nb")


@pytest.fixture
async def ops(redis_url: str) -> AsyncIterator[Operations]:
    """An empty Redis, and a chain that reads `in`."""
    async with operations(redis_url) as opened:
        opened.configure(configured())
        yield opened


def counted(name: str) -> float:
    """New vCons that the metric has for a list."""
    return sum(
        sample.value
        for family in VCONS_RECEIVED.collect()
        for sample in family.samples
        if sample.labels == {"list": name, "outcome": "new"} and sample.name.endswith("_total")
    )


async def test_an_unknown_list_is_made(ops: Operations) -> None:
    """Beside a known one; the vCon stays until it is taken out. Metrics do not grow with names."""
    vcon, before = a_vcon(), counted(UNKNOWN)
    taken = await ops.internal.take(vcon, ["in", "made up"], None, any_list=True)
    assert (taken.outcome, ops.list("in"), ops.list("made up")) == (
        "new",
        [vcon["uuid"]],
        [vcon["uuid"]],
    )
    assert ops.left(vcon["uuid"]) == FOR_EVER
    assert (counted(UNKNOWN), counted("made up")) == (before + 1, 0)


async def test_without_it_the_list_is_unknown(ops: Operations) -> None:
    """Nothing is stored."""
    with pytest.raises(UnknownNameError, match="made up; known: in"):
        await ops.internal.take(a_vcon(), ["made up"], None)
    with pytest.raises(UnknownNameError, match="made up; known: in"):
        await ops.operations.enqueue([new_uuid()], "made up")
    assert ops.client.keys("*") == []


@pytest.mark.parametrize("name", [*RESERVED, "x" * 513])
async def test_names_that_no_list_may_have_are_refused(ops: Operations, name: str) -> None:
    """Those of other keys of the service and of vcon-server: a caller cannot write to them."""
    vcon_uuid = await ops.ingest()
    before = set(ops.client.keys("*"))
    with pytest.raises(InvalidError, match="ingress_lists: "):
        await ops.internal.take(a_vcon(), [name], None, any_list=True)
    with pytest.raises(InvalidError, match="ingress_lists: "):
        await ops.operations.enqueue([vcon_uuid], name, any_list=True)
    assert set(ops.client.keys("*")) == before


async def test_the_index_is_no_list_even_before_it_exists(ops: Operations) -> None:
    """The sorted set is reserved under the name that VCON_SORTED_SET_NAME gives it."""
    ops.intake._sorted_set = "all of them"
    with pytest.raises(InvalidError, match="is the index of all vCons"):
        await ops.internal.take(a_vcon(), ["all of them"], None, any_list=True)
    vcon_uuid = await ops.ingest()
    ops.client.delete("all of them")
    with pytest.raises(InvalidError, match="is the index of all vCons"):
        await ops.operations.enqueue([vcon_uuid], "all of them", any_list=True)
    assert not ops.client.exists("all of them")


async def test_stored_vcons_are_queued_in_any_list(ops: Operations) -> None:
    """Unknown uuids are told as for a known list."""
    vcon_uuid, unknown = await ops.ingest(), new_uuid()
    gone = await ops.operations.enqueue([vcon_uuid, unknown], "made up", any_list=True)
    assert (gone, ops.list("made up")) == ([unknown], [vcon_uuid])


async def test_a_list_is_still_full_at_its_limit(ops: Operations) -> None:
    """An unread list cannot fill Redis."""
    for _ in range(5):
        await ops.internal.take(a_vcon(), ["made up"], None, any_list=True)
    with pytest.raises(UnavailableError, match="made up is full"):
        await ops.internal.take(a_vcon(), ["made up"], None, any_list=True)


async def test_a_partners_list_may_be_of_a_disabled_chain(apis: Apis) -> None:
    """The vCon waits in it; a key for it can be created, too."""
    secret: Any = "secret-1"
    await asyncio.to_thread(apis.key, secret)
    chain = Chain("off", ingress_lists=("customer_data",), enabled=False)
    apis.configuration.adopt(Configuration(PipelineConfig(chains={"off": chain}), Plugins()))
    taken = await apis.partners.api.take(a_vcon(), ["customer_data"], secret)
    assert apis.client.lrange("customer_data", 0, -1) == [taken.uuid]
    new = NewKey(ingress_list="customer_data", label="another")
    made = await apis.partners.admin.create_key(new, Author(actor="me"))
    assert made.key.ingress_list == "customer_data"


async def test_a_partners_list_needs_no_chain(apis: Apis) -> None:
    """The key opens its list and no other; without `any_list` the partner is to come again."""
    secret: Any = "secret-1"
    await asyncio.to_thread(apis.key, secret)
    apis.configuration.adopt(Configuration(PipelineConfig(), Plugins()))
    take, vcon = apis.partners.api.take, a_vcon()
    with pytest.raises(UnavailableError, match="is read by no chain at present"):
        await take(vcon, ["customer_data"], secret)
    assert (await take(vcon, ["customer_data"], secret, any_list=True)).outcome == "new"
    assert apis.client.lrange("customer_data", 0, -1) == [vcon["uuid"]]
