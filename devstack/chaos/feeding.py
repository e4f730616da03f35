"""Feeds vCons by Redis, as adapters do, and over RPC, and records which were accepted."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisAwayError
from redis.exceptions import TimeoutError as RedisTimeoutError

from devstack.chaos.looks import length
from devstack.chaos.system.chain import INGRESS, vcon
from devstack.chaos.system.system import System
from devstack.chaos.waiting import until

SUBJECTS = ("pass",) * 18 + ("halt", "fail")
ACCEPTED = (httpx.codes.OK, httpx.codes.CREATED)
FULL = 20
"""How many may be queued before the flow pauses: the rest is waiting for the end."""


class Feeder:
    """Feeds one system; `fed` has every accepted vCon with its subject."""

    def __init__(self, system: System) -> None:
        """Feeds nothing until a method is called."""
        self._system = system
        self._stopping = asyncio.Event()
        self.fed: dict[str, str] = {}

    async def push(self, subject: str = "pass", *, ttl: int = 0, at_head: bool = False) -> str:
        """Write and queue one vCon in Redis directly, as adapters do; returns its uuid.

        `ttl`: its time to live in seconds, as some adapters set it.
        """
        document = vcon(subject)
        words = (document["uuid"], json.dumps(document), ttl)
        await until(lambda: self._pushed(*words, at_head=at_head), "Redis to take a vCon")
        self.fed[document["uuid"]] = subject
        return str(document["uuid"])

    async def _pushed(self, vcon_uuid: str, text: str, ttl: int, *, at_head: bool) -> bool:
        """One attempt. If the answer was lost, the existence of the document decides."""
        key = f"vcon:{vcon_uuid}"
        try:
            async with (
                Redis.from_url(self._system.servers.valkey.url) as redis,
                redis.pipeline(transaction=True) as together,
            ):
                if await redis.exists(key):
                    return True
                together.execute_command("JSON.SET", key, ".", text)
                if ttl:
                    together.expire(key, ttl)
                (together.lpush if at_head else together.rpush)(INGRESS, vcon_uuid)
                await together.execute()
        except (RedisAwayError, RedisTimeoutError, OSError):
            return False
        return True

    async def ingest(self, subject: str = "pass") -> str:
        """Ingest one vCon over RPC, repeated until it is accepted; returns its uuid."""
        document = vcon(subject)
        await until(lambda: self._ingested(document), "a vCon to be accepted")
        self.fed[document["uuid"]] = subject
        return str(document["uuid"])

    async def _ingested(self, document: dict[str, Any]) -> bool:
        try:
            answer = await self._system.call("IngestVcon", vcon=document, ingress_lists=[INGRESS])
        except httpx.TransportError:
            return False
        return answer.status_code in ACCEPTED

    async def push_many(self, count: int, subject: str = "pass", *, ttl: int = 0) -> list[str]:
        """Push `count` vCons of one kind; returns their uuids."""
        return [await self.push(subject, ttl=ttl) for _ in range(count)]

    @asynccontextmanager
    async def flowing(self, *, pause: float = 0.03, rpc: bool = False) -> AsyncIterator[None]:
        """Feed vCons of every kind inside this context; on exit no request is pending.

        `pause`: average seconds between two vCons. `rpc`: every other vCon is sent over RPC.
        """
        self._stopping.clear()
        flow = asyncio.create_task(self._flow(pause, rpc=rpc))
        try:
            yield
        finally:
            self._stopping.set()
            await flow

    async def _flow(self, pause: float, *, rpc: bool) -> None:
        while not self._stopping.is_set():
            subject = random.choice(SUBJECTS)  # noqa: S311 -- guards nothing
            await (self.ingest(subject) if rpc and len(self.fed) % 2 else self.push(subject))
            await asyncio.sleep(random.uniform(0, 2 * pause))  # noqa: S311 -- guards nothing
            await until(lambda: self.has_room(self._stopping), "room in the ingress list")

    async def has_room(self, stopping: asyncio.Event) -> bool:
        """Whether the ingress list has room, or the flow is `stopping`."""
        return stopping.is_set() or await length(self._system, INGRESS) < FULL
