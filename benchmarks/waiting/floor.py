"""The floor: as many requests at once as asked for, over kept connections, and nothing else.

    python -m benchmarks.waiting.floor http://127.0.0.1:PORT COUNT CONCURRENCY

Prints the seconds and the CPU seconds as JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import uvloop

BODY = b"x" * 4000
REQUEST = b"POST /hook HTTP/1.1\r\nhost: stand-in\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY


async def measure(url: str, count: int, concurrency: int) -> dict[str, float]:
    """The seconds and CPU seconds of all requests."""
    left = iter(range(count))
    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(_client(url, left) for _ in range(concurrency)))
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


async def _client(url: str, left: Iterator[int]) -> None:
    server = urlsplit(url)
    reader, writer = await asyncio.open_connection(server.hostname, server.port)
    for _ in left:  # all clients share it
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r")[0]))
    writer.close()


if __name__ == "__main__":
    given = measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(asyncio.run(given, loop_factory=uvloop.new_event_loop)))
