"""The lists of vCons, as plugins written for vcon-server see them.

A list is any Redis list of uuids: what is put into an ingress list is taken by the chain that reads
it, and has the same promise as a vCon that came in over RPC. A client that callers pass is not
used: the process has a connection of its own.
"""

import asyncio

from pipeline.redis_client.client import installed

DEAD_LETTERS = "DLQ:"


class VconQueue:
    """Puts uuids into lists and takes them out, waiting for Redis.

    Every method raises `UnavailableError` when Redis cannot be reached.
    """

    def __init__(self, client: object = None) -> None:
        """Nothing connects before it is used."""

    def enqueue(self, queue_name: str, vcon_uuid: str) -> int:
        """Put a uuid at the tail of a list; how many are in it now."""
        return int(installed().command_from_thread("RPUSH", queue_name, vcon_uuid))

    def enqueue_front(self, queue_name: str, vcon_uuid: str) -> int:
        """Put a uuid at the head of a list; how many are in it now."""
        return int(installed().command_from_thread("LPUSH", queue_name, vcon_uuid))

    def enqueue_dlq(self, ingress_list: str, vcon_uuid: str) -> int:
        """Put a uuid among the dead letters of an ingress list; how many there are now."""
        return self.enqueue(f"{DEAD_LETTERS}{ingress_list}", vcon_uuid)

    def dequeue(self, queue_names: list[str], timeout: float = 15) -> tuple[str, str] | None:
        """The list and the uuid that was at its head, or None after `timeout` seconds.

        Only for lists that no chain reads: who dies with what it took from here has lost it.
        """
        reply = installed().sync.blpop(queue_names, timeout)
        return (str(reply[0]), str(reply[1])) if reply else None

    def queue_length(self, queue_name: str) -> int:
        """How many uuids are in a list."""
        return int(installed().command_from_thread("LLEN", queue_name))

    def set_vcon_ttl(self, vcon_uuid: str, seconds: int) -> bool:
        """Let a vCon go after so many seconds; False when there is none."""
        return bool(installed().script_from_thread("expire", vcon_uuid, seconds))

    # vcon-server's asynchronous methods; on whichever loop they are called.

    async def enqueue_async(self, redis_async: object, queue_name: str, *vcon_uuids: str) -> int:
        """Put uuids at the tail of a list; how many are in it now."""
        words = ("RPUSH", queue_name, *vcon_uuids)
        return int(await asyncio.to_thread(installed().command_from_thread, *words))

    async def queue_length_async(self, redis_async: object, queue_name: str) -> int:
        """How many uuids are in a list."""
        return await asyncio.to_thread(self.queue_length, queue_name)

    async def dequeue_dlq_async(self, redis_async: object, ingress_list: str) -> str | None:
        """The oldest dead letter of an ingress list, taken out; None when there is none."""
        words = ("LPOP", f"{DEAD_LETTERS}{ingress_list}")
        taken = await asyncio.to_thread(installed().command_from_thread, *words)
        return None if taken is None else str(taken)


class AsyncVconQueue:
    """Puts uuids into lists on the event loop; what vCons at once ask for travels together."""

    async def enqueue(self, queue_name: str, vcon_uuid: str) -> int:
        """Put a uuid at the tail of a list; how many are in it now."""
        return int(await installed().command("RPUSH", queue_name, vcon_uuid))
