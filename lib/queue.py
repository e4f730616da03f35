"""vcon-server's queue classes for Redis lists of vCon uuids.

A uuid in an ingress list is claimed by the chain that reads the list, with the same guarantees as a
vCon from `IngestVcon`. The Redis client that callers pass is not used: the functions use the
process's own connection.
"""

import asyncio

from pipeline.redis_client.client import installed

DEAD_LETTERS = "DLQ:"


class VconQueue:
    """Synchronous queue operations.

    Every method raises `UnavailableError` when Redis cannot be reached.
    """

    def __init__(self, client: object = None) -> None:
        """Does not connect; `client` is ignored."""

    def enqueue(self, queue_name: str, vcon_uuid: str) -> int:
        """Append a uuid to a list; returns the list's new length."""
        return int(installed().command_from_thread("RPUSH", queue_name, vcon_uuid))

    def enqueue_front(self, queue_name: str, vcon_uuid: str) -> int:
        """Insert a uuid at the head of a list; returns the list's new length."""
        return int(installed().command_from_thread("LPUSH", queue_name, vcon_uuid))

    def enqueue_dlq(self, ingress_list: str, vcon_uuid: str) -> int:
        """Append a uuid to an ingress list's dead letters; returns their number."""
        return self.enqueue(f"{DEAD_LETTERS}{ingress_list}", vcon_uuid)

    def dequeue(self, queue_names: list[str], timeout: float = 15) -> tuple[str, str] | None:
        """Pop the head of the first list that has one: list and uuid; None after `timeout` seconds.

        Only for lists that no chain reads: if the process dies after the pop, the uuid is lost.
        """
        reply = installed().sync.blpop(queue_names, timeout)
        return (str(reply[0]), str(reply[1])) if reply else None

    def queue_length(self, queue_name: str) -> int:
        """The number of uuids in a list."""
        return int(installed().command_from_thread("LLEN", queue_name))

    def set_vcon_ttl(self, vcon_uuid: str, seconds: int) -> bool:
        """Set a vCon's time to live; False if it is not in Redis."""
        return bool(installed().script_from_thread("expire", vcon_uuid, seconds))

    # vcon-server's asynchronous methods. They use a thread, so they work on any event loop.

    async def enqueue_async(self, redis_async: object, queue_name: str, *vcon_uuids: str) -> int:
        """Append uuids to a list; returns the list's new length."""
        command = ("RPUSH", queue_name, *vcon_uuids)
        return int(await asyncio.to_thread(installed().command_from_thread, *command))

    async def queue_length_async(self, redis_async: object, queue_name: str) -> int:
        """The number of uuids in a list."""
        return await asyncio.to_thread(self.queue_length, queue_name)

    async def dequeue_dlq_async(self, redis_async: object, ingress_list: str) -> str | None:
        """Pop the oldest dead letter of an ingress list; None if there is none."""
        command = ("LPOP", f"{DEAD_LETTERS}{ingress_list}")
        popped = await asyncio.to_thread(installed().command_from_thread, *command)
        return None if popped is None else str(popped)


class AsyncVconQueue:
    """Queue operations on the event loop; concurrent commands are sent in one batch."""

    async def enqueue(self, queue_name: str, vcon_uuid: str) -> int:
        """Append a uuid to a list; returns the list's new length."""
        return int(await installed().command("RPUSH", queue_name, vcon_uuid))
