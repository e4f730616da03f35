"""Stopping, killing and restarting the development Plugboard; running it as a program."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.integration.support.plugboard_scene import PATIENCE, Client, plugboard


async def test_a_graceful_stop_closes_with_1012_and_refuses_connects() -> None:
    """Joined sockets get 1012 with nothing before it, unjoined ones 1000, newcomers no line."""
    async with plugboard() as scene:
        joined, unjoined = await scene.join(), await scene.connect()
        await scene.board.stop()
        assert await joined.closed() == 1012
        assert await unjoined.closed() == 1000
        with pytest.raises(ConnectionClosed):
            await joined.hear()
        with pytest.raises(ConnectionRefusedError):
            await connect(scene.url())


async def test_callers_hang_through_a_graceful_stop_and_get_nothing() -> None:
    """An answer under way is lost: the caller's line is dropped at the end of the drain."""
    async with plugboard(drain_timeout=0.05) as scene:
        client = await scene.join()
        call = scene.calling()
        await client.hear("request")
        await scene.board.stop()
        with pytest.raises(httpx.TransportError):
            await call


async def test_a_graceful_stop_waits_for_its_callers() -> None:
    """A caller whose time is up during the drain still gets its 408, and the stop is over then."""
    async with plugboard(drain_timeout=PATIENCE) as scene:
        client = await scene.join()
        call = scene.calling()
        await client.hear("request")
        stopping = asyncio.create_task(scene.board.stop())
        assert await client.closed() == 1012
        scene.board.expire_requests()
        assert (await call).status_code == 408
        await stopping


async def test_a_stopping_board_answers_422_on_open_connections() -> None:
    """Its consumers are gone at once, which a caller that kept its connection is told."""
    async with plugboard(drain_timeout=PATIENCE) as scene:
        client = await scene.join()
        first = scene.calling()
        await client.answer(await client.hear("request"), {"status": "success", "message": 1})
        assert (await first).status_code == 200  # its connection is kept
        async with httpx.AsyncClient(verify=False) as other:
            headers = {"authorization": f"Bearer {scene.account.value}"}
            body = {"service_id": scene.service.id, "action": "Foo", "fields": {}}
            call = asyncio.create_task(
                other.post(scene.board.http_url, headers=headers, json=body, timeout=PATIENCE)
            )
            await client.hear("request")
            stopping = asyncio.create_task(scene.board.stop())
            assert await client.closed() == 1012
            assert (await scene.post()).status_code == 422
            scene.board.expire_requests()
            assert (await call).status_code == 408
            await stopping


async def test_a_kill_cuts_every_line() -> None:
    """Consumers see 1006, callers an error, newcomers no line."""
    async with plugboard() as scene:
        client = await scene.join()
        call = scene.calling()
        await client.hear("request")
        await scene.board.kill()
        assert await client.closed() == 1006
        with pytest.raises(httpx.TransportError):
            await call
        with pytest.raises(ConnectionRefusedError):
            await connect(scene.url())


async def test_after_a_restart_the_same_tokens_work_on_the_same_port() -> None:
    """Services and tokens are kept; consumers and waiting requests are not."""
    async with plugboard() as scene:
        url, before = scene.url(), await scene.join()
        await scene.board.restart()
        assert scene.url() == url
        assert await before.closed() == 1012
        assert (await scene.post()).status_code == 422
        client = await scene.join()
        call = scene.calling()
        await client.answer(await client.hear("request"), {"status": "success", "message": 1})
        assert (await call).json()["message"] == 1


async def test_services_can_be_made_while_it_is_down() -> None:
    """A token made between stop and start is good after the start."""
    async with plugboard() as scene:
        await scene.board.stop()
        assert not scene.board.running
        service, token = await scene.second_service()
        await scene.board.start()
        await scene.join(token)
        assert len(scene.board.joined(service)) == 1


async def test_starting_twice_is_a_mistake() -> None:
    """A running board cannot be started; a stopped one may be stopped again."""
    async with plugboard() as scene:
        with pytest.raises(RuntimeError):
            await scene.board.start()
        await scene.board.stop()
        await scene.board.stop()


def test_it_runs_on_uvloop() -> None:
    """Join, request, answer, refusal and stop work the same on the other event loop."""

    async def round_trip() -> None:
        async with plugboard() as scene:
            client = await scene.join()
            call = scene.calling()
            await client.answer(await client.hear("request"), {"status": "success", "message": 1})
            assert (await call).json()["message"] == 1
            await client.socket.send("{")
            assert await client.closed() == 1011
            client = await scene.join()
            await scene.board.stop()
            assert await client.closed() == 1012

    uvloop.run(round_trip())


@asynccontextmanager
async def program(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any]]:
    """The board as a program of its own, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devstack.plugboard",
        "--port",
        "0",
        "--json",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_taken_port_is_said_in_one_line() -> None:
    """The program names address and reason, and fails."""
    async with plugboard() as scene:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "devstack.plugboard",
            "--port",
            str(scene.board.port),
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaint = await process.communicate()
        assert process.returncode == 1
        assert complaint.startswith(f"cannot listen on 127.0.0.1:{scene.board.port}".encode())
        assert complaint.count(b"\n") == 1


async def test_as_a_program_it_prints_what_is_needed_and_obeys_sigterm() -> None:
    """The printed URLs and tokens work, chosen tokens are kept, SIGTERM ends it with 1012 and 0."""
    async with program("--variant", "bugfixes", "--token", "Y2hvc2Vu") as (process, printed):
        assert printed["token"] == "Y2hvc2Vu"
        url = f"{printed['websocket_url']}?token={printed['token']}&actions=%7B%7D"
        async with connect(url) as socket, httpx.AsyncClient(verify=False) as http:
            client = Client(socket, "1.0.0")
            assert (await client.join())["service"]["id"] == printed["service_id"]
            call = asyncio.create_task(
                http.post(
                    printed["http_url"],
                    headers={"authorization": f"Bearer {printed['account_token']}"},
                    json={"service_id": printed["service_id"], "action": "A", "fields": {}},
                )
            )
            answer = {"status_code": 201, "message": "made", "fields": None}
            await client.answer(await client.hear("request"), answer)
            assert (await call).status_code == 201
            process.send_signal(signal.SIGTERM)
            assert await client.closed() == 1012
        assert await process.wait() == 0
