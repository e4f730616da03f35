"""Limits of what Airtable's answers may have, while they come in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from flowlang.connections.manager import ConnectionManager
from flowlang.exceptions import FlowExecutionError
from tests.integration.flowlang.airtable_scene import Airtable, Tasks, config
from tests.integration.support.http_stand_in import stand_in


@pytest.fixture
def server() -> Iterator[Airtable]:
    """An Airtable without records."""
    with stand_in(Airtable()) as found:
        yield found


async def test_pages_that_are_too_large_are_requested_with_fewer_records(server: Airtable) -> None:
    """Down to a single one; a record that is too large by itself ends the list."""
    sizes = (20_000, 20_000, 20_000, 60_000, 100)
    server.records = {
        f"rec{n}": {"id": f"rec{n}", "fields": {"Name": "x" * size}} for n, size in enumerate(sizes)
    }
    for most, count, is_cut in ((200_000, 5, False), (120_250, 4, True), (59_000, 2, True)):
        async with ConnectionManager(config(server, max_bytes=most)) as manager:
            told = await Tasks(manager).on_table("list")
            assert (told["count"], told.get("truncated", False)) == (count, is_cut)
    async with ConnectionManager(config(server, max_bytes=10_000)) as manager:
        tasks = Tasks(manager)
        assert (await tasks.on_table("list"))["count"] == 0
        for task, given in (("get", {"record_id": "rec3"}), ("find", {"filter_by_formula": "1"})):
            with pytest.raises(FlowExecutionError, match="max_bytes"):
                await tasks.on_table(task, **given)
        with pytest.raises(FlowExecutionError, match="max_bytes; the change was made"):
            await tasks.on_table("update", record_id="rec3", fields={"Age": 3})
        assert server.records["rec3"]["fields"]["Age"] == 3


async def test_an_answer_without_end_is_left(server: Airtable) -> None:
    """It is counted while it comes in, for any request."""
    sent: list[int] = []
    async with ConnectionManager(config(server, max_bytes=100_000)) as manager:
        tasks = Tasks(manager)
        for status in (200, 400):
            async with endless(status, sent) as base:
                lent = await (await manager.get_plugin("a")).get_connection()
                lent.base_url = base
                with pytest.raises(FlowExecutionError, match=r"max_bytes|HTTP 400"):
                    await tasks.on_table("get", record_id="rec0")
    assert max(sent) < ALL_OF_IT / 4


async def test_an_answer_that_is_compressed_is_refused(server: Airtable) -> None:
    """It was asked for as it is: small bytes may unpack to very many."""
    async with ConnectionManager(config(server)) as manager:
        await manager.get_plugin("a")
        server.headers["content-encoding"] = "gzip"
        with pytest.raises(FlowExecutionError, match="compressed, which was not asked for"):
            await Tasks(manager).on_table("list")
    assert server.got[-1][1]["accept-encoding"] == "identity"


ALL_OF_IT = 64_000_000


@asynccontextmanager
async def endless(status: int, sent: list[int]) -> AsyncIterator[str]:
    """The address of a server whose answer has `ALL_OF_IT` bytes; `sent`: how many were taken."""
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: {ALL_OF_IT}\r\n\r\n".encode())
        taken = 0
        with suppress(OSError):
            while taken < ALL_OF_IT:
                writer.write(b"x" * 50_000)
                await writer.drain()
                taken += 50_000
        sent.append(taken)
        over.set()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await over.wait()
    server.close()
