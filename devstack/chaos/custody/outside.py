"""What the counted chain does outside: a receiver of webhooks, and a folder of files.

Both count for themselves, by the uuid of the vCon: the chain sends each vCon to the receiver with
the built-in link, and writes it into the folder with the built-in storage.
"""

import asyncio
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from devstack.chaos.custody.listening import Listening
from devstack.servers.ports import HOST

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
LENGTH = b"content-length:"
LINK, STORAGE = "send", "files"


class Receiver(Listening):
    """A context manager: an HTTP server that takes webhooks; `got` counts them by vCon."""

    def __init__(self) -> None:
        """The port is known inside the context."""
        self.got: Counter[str] = Counter()
        self._senders: set[asyncio.StreamWriter] = set()

    async def _end_connections(self) -> None:
        for sender in self._senders:
            sender.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._senders.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                self.got[json.loads(body)["uuid"]] += 1
                writer.write(ANSWER)
                await writer.drain()
        self._senders.discard(writer)
        writer.close()


def _length(head: bytes) -> int:
    [line] = [each for each in head.lower().split(b"\r\n") if each.startswith(LENGTH)]
    return int(line.removeprefix(LENGTH))


class Outside:
    """The receiver and the folder of one system."""

    def __init__(self, receiver: Receiver, folder: Path) -> None:
        """`folder` is for the files."""
        self._receiver = receiver
        self._files = folder

    def configuration(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The link and the storage, to be added to the chain's."""
        url = f"http://{HOST}:{self._receiver.port}/"
        send = {"module": "links.webhook", "options": {"webhook-urls": [url]}}
        files = {
            "module": "storage.file",
            "options": {"path": str(self._files), "organize_by_date": False},
        }
        return {"links": {LINK: send}, "storages": {STORAGE: files}}

    def sent(self) -> Counter[str]:
        """How often the receiver has got each vCon."""
        return Counter(self._receiver.got)

    def written(self) -> dict[str, int]:
        """When the file of each vCon was written last, in nanoseconds."""
        return {file.stem: file.stat().st_mtime_ns for file in self._files.glob("*.json")}
