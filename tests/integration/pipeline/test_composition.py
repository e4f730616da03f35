"""What a replica does beside its actions: everything is there, and goes on by itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from core.db.usage_and_audit import UsageAndAudit
from core.db.vcon_owners import OURS, VconOwners
from core.errors import ConfigurationError, ForbiddenError, UnknownNameError
from core.observability.metrics import REDIS_LOSSES, UNREAD_DEPTH
from pipeline.admin.housekeeping import Intervals
from pipeline.composition import PipelineComposition
from pipeline.ingest.key_cache import hashed
from pipeline.redis_client import client as connection
from pipeline.redis_client import keys
from tests.integration.support.composition_scene import (
    PATIENCE,
    Opened,
    Pruned,
    at_work,
    partner_records,
    settings,
)
from tests.integration.support.pipeline_fixtures import a_vcon, new_uuid

GOOD = "chains: {main: {ingress_lists: [in], egress_lists: [out]}}\n"
OTHER = "chains: {main: {ingress_lists: [other], egress_lists: [out]}}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration file."""
    (path := tmp_path / "config.yml").write_text(GOOD)
    return path


@pytest.fixture
async def opened(config: Path, redis_url: str) -> AsyncIterator[Opened]:
    """A front at work on an empty Redis."""
    async with at_work(config, redis_url) as opened:
        yield opened


async def test_what_an_adapter_queues_is_kept(opened: Opened) -> None:
    """A vCon with a time to live that waits in a list loses it, without anybody asking."""
    vcon = a_vcon()
    opened.client.json().set(keys.vcon(vcon["uuid"]), ".", vcon)
    opened.client.expire(keys.vcon(vcon["uuid"]), 60)
    opened.client.rpush("in", vcon["uuid"])
    await opened.until(lambda: opened.client.ttl(keys.vcon(vcon["uuid"])) == -1)


async def test_what_a_dead_worker_held_is_given_back(opened: Opened) -> None:
    """A worker whose lease is over loses what it holds."""
    vcon_uuid = await opened.claimed("dead")
    opened.client.delete(keys.worker("dead"))
    await opened.until(lambda: opened.client.lrange("in", 0, -1) == [vcon_uuid])


async def test_our_own_dead_are_not_waited_for(opened: Opened) -> None:
    """A worker known to be dead is buried although its lease still runs."""
    vcon_uuid = await opened.claimed("ours")
    opened.front.snapshot.path.unlink()
    await opened.front.worker_died("ours")
    assert opened.client.lrange("in", 0, -1) == [vcon_uuid]
    assert opened.front.snapshot.path.exists()


async def test_old_runs_are_pruned(opened: Opened) -> None:
    """At once, and with the days of the settings."""
    await opened.until(lambda: opened.history.days == [7])


async def test_what_partners_leave_behind_is_pruned(
    config: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each table by its own setting; keys of the configuration stay."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(UsageAndAudit, "prune", lambda _, *limits: asked.append(limits))
    await asyncio.to_thread(
        config.write_text,
        f"{GOOD}ingress_auth: {{in: [partner-key-number-1, partner-key-number-2]}}\n",
    )
    days = {
        f"{kind}_retention_days": n for n, kind in enumerate(("audit", "usage", "owner", "key"))
    }
    async with at_work(config, redis_url, **days) as opened:
        await opened.until(lambda: asked)
    by_table = {"audit_events": 0, "ingress_usage": 1, "vcon_owners": 2}
    by_table |= dict.fromkeys(("ingress_keys", "tokens", "services"), 3)
    assert asked == [(by_table, [hashed(f"partner-key-number-{n}") for n in (1, 2)])]


async def test_who_brought_vcons_in_is_written_down(
    config: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself, and beside everything else."""
    written: list[dict[str, UUID]] = []
    monkeypatch.setattr(VconOwners, "confirm", lambda _, owners: written.append(owners))
    async with at_work(config, redis_url) as opened:
        taken = await opened.front.service.internal.take(a_vcon(), [], None)
        await opened.until(lambda: written)
        assert written == [{taken.uuid: OURS}]


async def test_a_key_is_asked_for_where_it_is_required(config: Path, redis_url: str) -> None:
    """At our own door; without the setting it is not."""
    for required in (True, False):
        async with at_work(config, redis_url, require_ingress_key=required) as opened:
            ingesting = opened.front.service.internal.take(a_vcon(), [], None)
            with pytest.raises(ForbiddenError) if required else nullcontext():
                await ingesting


async def test_a_changed_configuration_is_that_of_the_actions(opened: Opened, config: Path) -> None:
    """After a change the actions go by it, and the workers are to be told."""
    await asyncio.to_thread(config.write_text, OTHER)
    opened.front.reload()
    async with asyncio.timeout(PATIENCE):
        await opened.changes.wait()
    [chain] = await opened.front.service.chains()
    assert [depth.name for depth in chain.ingress_lists] == ["other"]
    assert (await opened.front.service.operations.dead_letters("other", None, 1, None)).total == 0


def test_a_bad_configuration_keeps_the_service_from_starting(config: Path, redis_url: str) -> None:
    """Every problem is told."""
    config.write_text("chains: {main: {links: [a, b], ingress_lists: [in]}}")
    with pytest.raises(ConfigurationError) as refused:
        Opened(settings(config, redis_url), None)  # type: ignore[arg-type]
    assert len(refused.value.problems) == 2


async def nothing() -> None:
    """The service runs without a listener for changes."""


SHELF = """
asked, closed = [], []
def save(vcon_uuid, opts): ...
def get(vcon_uuid, opts): asked.append(opts["name"])
def close(): closed.append(list(asked))
"""


@pytest.fixture
def shelves(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with two storages of one module."""
    (tmp_path / "shelf_of_the_front.py").write_text(SHELF)
    monkeypatch.syspath_prepend(tmp_path)
    module = "{module: shelf_of_the_front, options: {name: NAME}}"
    storages = ", ".join(f"{name}: {module.replace('NAME', name)}" for name in "ab")
    config.write_text(f"storages: {{{storages}}}\n{GOOD}")
    return config


async def test_storages_that_were_read_from_are_closed(shelves: Path, redis_url: str) -> None:
    """At the end, and each module once, however many storages it is."""
    given = settings(shelves, redis_url)
    composition = PipelineComposition(given, Pruned(), partner_records(given), nothing)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError):
        await composition.service.find_vcon(new_uuid(), None)
    await composition.close()
    connection._installed.clear()
    assert sys.modules.pop("shelf_of_the_front").closed == [["a", "b"]]


async def test_what_the_operator_must_know_is_looked_for(config: Path, redis_url: str) -> None:
    """Ids of a list that a reload takes from its chain, and a Redis that loses its data."""
    losses = REDIS_LOSSES._value.get()

    def unread() -> dict[str, float]:
        [family] = UNREAD_DEPTH.collect()
        return {sample.labels["list"]: sample.value for sample in family.samples}

    often = Intervals(unread_lists=0.01, redis_identity=0.01)
    async with at_work(config, redis_url, often) as opened:
        await opened.until(lambda: opened.client.zscore(keys.LISTS, "in"))
        opened.client.rpush("in", new_uuid())
        await asyncio.to_thread(config.write_text, OTHER)
        opened.front.reload()
        await opened.until(lambda: unread() == {"in": 1})
        opened.client.flushall()
        await opened.until(lambda: REDIS_LOSSES._value.get() > losses)
