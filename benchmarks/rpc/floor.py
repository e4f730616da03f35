"""The floors: minimal clients that join the Plugboard and answer.

No reconnect, no heartbeat, no validation, no errors, no logs, no metrics.

Run as a program: `python -m benchmarks.rpc.floor KIND URL CORE`. KIND is one of `FLOORS`.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import psycopg
import redis.asyncio
import uvloop
from redis.commands.core import AsyncScript
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.rpc.names import INGRESS

type Payload = dict[str, Any]
type Floor = Callable[[ClientConnection], Awaitable[None]]

STORE = """
local uuid, list, n = ARGV[1], ARGV[5], #ARGV
redis.call('JSON.SET', 'vcon:' .. uuid, '.', ARGV[2])
redis.call('ZADD', 'floor:vcons', ARGV[3], uuid)
for i = 6, n do
  redis.call('SADD', ARGV[i], uuid)
end
redis.call('HSET', 'floor:about:' .. uuid, 'digest', ARGV[4], 'index', n, 'in:' .. list, 1)
redis.call('SADD', 'floor:holds:' .. uuid, list)
redis.call('RPUSH', list, uuid)
"""
"""What is written for one vCon that is taken in, and nothing that is looked at first."""
TABLE = """
CREATE TABLE IF NOT EXISTS floor_custody (number bigserial PRIMARY KEY, uuid uuid, document bytea)
"""


async def echo(websocket: ClientConnection) -> None:
    """Answer each request with its own fields, in the read loop."""
    async for text in websocket:
        if request := _request(json.loads(text)):
            await websocket.send(json.dumps(_answer(request["response_ref"], request["fields"])))


async def echo_fast(websocket: ClientConnection) -> None:
    """Answer with orjson, in the read loop."""
    while True:
        if request := _request(orjson.loads(await websocket.recv(decode=False))):
            answer = _answer(request["response_ref"], request["fields"])
            await websocket.send(orjson.dumps(answer), text=True)


async def echo_later(websocket: ClientConnection) -> None:
    """One task per request, which sleeps for the requested time and answers."""
    tasks = set()

    async def answer(request: Payload) -> None:
        await asyncio.sleep(request["fields"]["seconds"])
        await websocket.send(json.dumps(_answer(request["response_ref"], request["fields"])))

    async for text in websocket:
        if request := _request(json.loads(text)):
            tasks.add(task := asyncio.create_task(answer(request)))
            task.add_done_callback(tasks.discard)


async def ingest(websocket: ClientConnection) -> None:
    """Store each vCon and put it into the list in one script, then answer."""
    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])
    store = client.register_script(STORE)
    async for message in websocket:
        if request := _request(json.loads(message)):
            text = json.dumps(request["fields"]["vcon"])
            await websocket.send(json.dumps(await _stored(store, request, text)))


KEEP = """
INSERT INTO floor_custody (uuid, document)
SELECT * FROM unnest(%b::uuid[], %b::bytea[]) RETURNING number
"""


async def ingest_kept(websocket: ClientConnection) -> None:
    """Insert all vCons that wait with one statement, then store each one as `ingest` does."""
    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])
    store, waiting = client.register_script(STORE), asyncio.Queue[Payload]()
    connection = await psycopg.AsyncConnection.connect(os.environ["POSTGRES_URL"], autocommit=True)
    await connection.execute(TABLE)

    async def work() -> None:
        while batch := [await waiting.get()]:
            while not waiting.empty():
                batch.append(waiting.get_nowait())
            vcons = [request["fields"]["vcon"] for request in batch]
            texts = [json.dumps(vcon) for vcon in vcons]
            rows = [[vcon["uuid"] for vcon in vcons], [text.encode() for text in texts]]
            await connection.execute(KEEP, rows, binary=True)
            for request, text in zip(batch, texts, strict=True):
                await websocket.send(json.dumps(await _stored(store, request, text)))

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        async for message in websocket:
            if request := _request(json.loads(message)):
                waiting.put_nowait(request)
        working.cancel()


async def _stored(store: AsyncScript, request: Payload, text: str) -> list[Any]:
    vcon = request["fields"]["vcon"]
    keys = [f"{key}:{party[key]}" for party in vcon["parties"] for key in ("tel", "name")]
    await store(args=[vcon["uuid"], text, 1767607200, "0" * 64, INGRESS, *keys])
    return _answer(request["response_ref"], {"uuid": vcon["uuid"]}, 201)


def _request(message: list[Any]) -> Payload | None:
    return message[4] if message[3] == "request" else None


def _answer(ref: str, fields: Payload, code: int = 200) -> list[Any]:
    payload = {"status": "success", "status_code": code, "message": None, "fields": fields}
    return ["1", ref, "service", "response", payload]


FLOORS: dict[str, Floor] = {
    "echo": echo,
    "echo_fast": echo_fast,
    "echo_later": echo_later,
    "ingest": ingest,
    "ingest_kept": ingest_kept,
}


async def serve(floor: Floor, url: str) -> None:
    """Connect, join, answer until the connection ends."""
    async with connect(url, compression=None, max_size=None) as websocket:
        await websocket.send(json.dumps(["1", "1", "service", "phx_join", {}]))
        await floor(websocket)


def main() -> None:
    """Answer until killed."""
    kind, url, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    loop_factory = uvloop.new_event_loop if kind == "echo_fast" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve(FLOORS[kind], url))


if __name__ == "__main__":
    main()
