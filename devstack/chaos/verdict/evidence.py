"""Collects the final state of all vCons from Redis, Postgres and the ledger."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg

from devstack.chaos.system.chain import EGRESS, INGRESS, STORAGES
from devstack.chaos.system.system import System
from devstack.chaos.verdict.verdict import Evidence
from devstack.chaos.waiting import until

LETTERS = f"DLQ:{INGRESS}"
_FINISHED = """
SELECT vcon_in::text, status FROM chain_runs
WHERE finished_at IS NOT NULL AND status IN ('done', 'halted', 'partial', 'failed')
"""
_ATTEMPTS = "SELECT vcon_in::text, attempts FROM chain_runs"
# The first migration inserts its name, each later one replaces it.
_FIRST_MIGRATIONS = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'alembic_version'"
# A session tells what it has counted when it ends, if not before.
_OTHER_SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def gather(system: System, fed: Mapping[str, str]) -> Evidence:
    """The current evidence; requires both servers."""
    runs = await asyncio.to_thread(_finished_runs, system)
    egress: Counter[str] = Counter(await system.redis.lrange(EGRESS, 0, -1))
    refused: dict[str, str] = {}
    for storage in STORAGES:
        refused |= await _letters(system, f"DLQ:storage:{storage}")
    return Evidence(
        fed=dict(fed),
        storages=frozenset(STORAGES),
        saved=system.ledger.saved(),
        bare=system.ledger.bare(),
        egress=egress,
        dead=await _letters(system, LETTERS),
        refused=refused,
        halted=frozenset(vcon for vcon, status in runs if status == "halted"),
        queued=await _queued(system),
        documents=await _documents(system, fed),
        recorded=frozenset(vcon for vcon, _ in runs),
    )


def _finished_runs(system: System) -> list[tuple[str, str]]:
    return rows(system, _FINISHED)


def rows(
    system: System, query: LiteralString, parameters: Mapping[str, object] | None = None
) -> list[Any]:
    """The rows of a query; blocks."""
    with psycopg.connect(system.servers.postgres.url(system.database)) as connection:
        return connection.execute(query, parameters).fetchall()


async def _letters(system: System, name: str) -> dict[str, str]:
    """The dead letters of one list with their causes."""
    vcons = await system.redis.lrange(name, 0, -1)
    reasons = await system.redis.hgetall(f"pc:dead:{name}")
    return {vcon: str(json.loads(reasons.get(vcon, "{}")).get("error") or "") for vcon in vcons}


async def _queued(system: System) -> frozenset[str]:
    """The ids in lists, and those held by a registered worker."""
    redis = system.redis
    found = set(await redis.lrange(INGRESS, 0, -1))
    found |= {member.partition("\n")[2] for member in await redis.zrange("pc:later", 0, -1)}
    for worker in await redis.smembers("pc:workers"):
        found |= set(await redis.hkeys(f"pc:inflight:{worker}"))
    async for key in redis.scan_iter("pc:waiting:*"):
        found |= {entry.partition("\n")[2] for entry in await redis.lrange(key, 0, -1)}
    found |= set(await redis.lrange(f"pc:suspects:{INGRESS}", 0, -1))
    return frozenset(found)


async def _documents(system: System, fed: Mapping[str, str]) -> frozenset[str]:
    async with system.redis.pipeline(transaction=False) as together:
        for vcon in fed:
            together.exists(f"vcon:{vcon}")
        present = await together.execute()
    return frozenset(vcon for vcon, there in zip(fed, present, strict=True) if there)


async def attempts(system: System) -> dict[str, int]:
    """The number of attempts of each vCon's run, from Postgres."""
    return dict(await asyncio.to_thread(rows, system, _ATTEMPTS))


async def first_migrations(system: System) -> int:
    """How often the first migration was run, including rollbacks; stops all services."""
    await system.kill_services()

    async def all_have_told() -> bool:
        [[sessions]] = await asyncio.to_thread(rows, system, _OTHER_SESSIONS)
        return bool(sessions == 0)

    await until(all_have_told, "the sessions of the services to end")
    [[times]] = await asyncio.to_thread(rows, system, _FIRST_MIGRATIONS)
    return int(times)
