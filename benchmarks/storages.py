"""Measures saves to each kind of storage, 32 at once, and bare calls to the same server.

    python -m benchmarks.storages [--rounds 5] [--count 600] [--only NAME]

Both sides take the vCon (1 to 20 kB) from Redis through `lib` and make its JSON. The floor then
sends one request for each vCon over connections that are kept: a one-row upsert, a file written in
a thread, `put_object`, `replace_one`. The other side is what a worker does: `PluginCalls.save`,
with time limit and retries. A vCon of `storage.s3` is two objects and a read; the ratio is printed
for `put_object` of the vCon alone, and for `put_object` of both objects. S3 is
`benchmarks.s3_server` in a process of its own, MongoDB what the tests use, in another one. Rounds
are interleaved; printed are the medians of rate, ratio and CPU microseconds of this process.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from benchmarks.figures import Figure
from benchmarks.servers import servers
from benchmarks.vcons import made_up_vcons
from devstack.servers.stack import EmbeddedStack
from devstack.testing import connected
from lib.vcon_redis import AsyncVconRedis
from lib.web import http_client
from pipeline.config.parser import parse
from pipeline.plugins.loader import load
from pipeline.runs.calls import PluginCalls

AT_ONCE = 32
COUNT = 600
ROOT = Path(__file__).parents[1]
DATABASE = "bench_storages"
S3 = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "aws_region": "us-east-1"}
AIMS = {"postgres": 1.0, "file": 1.0, "s3": 0.9, "mongo": 1.0}
"""The least good ratio of each storage; whole chains with a storage are in `benchmarks.chain`."""

UPSERT = """
INSERT INTO floor (id, vcon, uuid, created_at, vcon_json) VALUES (%s, '0.4.0', %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET vcon_json = excluded.vcon_json, created_at = excluded.created_at
"""

type Save = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Round:
    """vCons a second and CPU microseconds a vCon."""

    rate: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Side:
    """A storage's options, and its floors by name: what is sent for a vCon and its JSON."""

    options: dict[str, Any]
    floors: dict[str, Callable[[str, bytes], Awaitable[object]]]


async def at_once(save: Save, uuids: list[str]) -> Round:
    """Save all vCons, `AT_ONCE` at a time."""
    waiting = iter(uuids)

    async def some() -> None:
        for each in waiting:
            await save(each)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    seconds = time.perf_counter() - began
    return Round(len(uuids) / seconds, (time.process_time() - cpu) / len(uuids) * 1e6)


def bare(send: Callable[[str, bytes], Awaitable[object]]) -> Save:
    """A floor: the vCon's JSON, sent by itself."""

    async def save(vcon_uuid: str) -> None:
        await send(vcon_uuid, orjson.dumps(await AsyncVconRedis().get_vcon_dict(vcon_uuid)))

    return save


def ours(calls: PluginCalls, module: str, options: dict[str, Any]) -> Save:
    """The save of a worker."""
    spec = {"module": module, "options": options}
    config = parse({"storages": {"it": spec}, "chains": {"main": {"storages": ["it"]}}}, {})
    storage = load(config).storage(config.chains["main"], "it")

    async def save(vcon_uuid: str) -> None:
        if error := await calls.save(storage, vcon_uuid):
            raise RuntimeError(error)

    return save


async def postgres(stack: EmbeddedStack, opened: AsyncExitStack) -> Side:
    """One statement for each vCon, over as many connections as the storage has."""
    server = stack.postgres
    server.create_database(DATABASE)
    pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
        server.url(DATABASE), kwargs={"autocommit": True}, min_size=4, max_size=4, open=False
    )
    await opened.enter_async_context(pool)
    async with pool.connection() as connection:
        await connection.execute(
            "CREATE TABLE floor (id uuid PRIMARY KEY, vcon text, uuid uuid, created_at timestamp, "
            "updated_at timestamp, subject text, vcon_json jsonb)"
        )

    async def send(vcon_uuid: str, text: bytes) -> None:
        async with pool.connection() as connection:
            given = (vcon_uuid, vcon_uuid, "2026-01-05T10:00:00", text.decode())
            await connection.execute(UPSERT, given)

    access = {"host": server.host, "port": server.port, "user": server.user}
    options = {**access, "password": server.password, "database": DATABASE}
    return Side(options, {"": send})


async def file(stack: EmbeddedStack, opened: AsyncExitStack) -> Side:
    """A thread for each file, as many threads as vCons at once."""
    folder = stack.folder / "floor"
    folder.mkdir()
    threads = opened.enter_context(ThreadPoolExecutor(AT_ONCE))

    async def send(vcon_uuid: str, text: bytes) -> None:
        path = folder / f"{vcon_uuid}.json"
        await asyncio.get_running_loop().run_in_executor(threads, path.write_bytes, text)

    return Side({"path": str(stack.folder / "vcons")}, {"": send})


async def s3(_: EmbeddedStack, opened: AsyncExitStack) -> Side:
    """One `put_object` for each vCon, or two, in a thread; a connection for each thread."""
    import boto3  # noqa: PLC0415 -- half a second, for this case only
    from botocore.config import Config  # noqa: PLC0415

    port = opened.enter_context(program("benchmarks.s3_server"))
    url, threads = f"http://127.0.0.1:{port}", opened.enter_context(ThreadPoolExecutor(AT_ONCE))
    names = ("request_checksum_calculation", "response_checksum_validation")
    sums: Any = dict.fromkeys(names, "when_required")
    config = Config(max_pool_connections=AT_ONCE, **sums)
    client = boto3.session.Session(S3["aws_access_key_id"], S3["aws_secret_access_key"]).client(
        "s3", endpoint_url=url, region_name=S3["aws_region"], config=config
    )
    opened.callback(client.close)

    def put(vcon_uuid: str, text: bytes) -> None:
        client.put_object(Bucket="floor", Key=f"{vcon_uuid}.vcon", Body=text)

    def put_both(vcon_uuid: str, text: bytes) -> None:
        client.put_object(Bucket="floor", Key=f"lookup/{vcon_uuid}.txt", Body=b"2026/01/05")
        put(vcon_uuid, text)

    async def send(vcon_uuid: str, text: bytes) -> None:
        await asyncio.get_running_loop().run_in_executor(threads, put, vcon_uuid, text)

    async def send_both(vcon_uuid: str, text: bytes) -> None:
        await asyncio.get_running_loop().run_in_executor(threads, put_both, vcon_uuid, text)

    options = {**S3, "aws_bucket": "ours", "endpoint_url": url}
    return Side(options, {"": send, ", both objects": send_both})


async def mongo(_: EmbeddedStack, opened: AsyncExitStack) -> Side:
    """One `replace_one` for each vCon."""
    from pymongo import AsyncMongoClient  # noqa: PLC0415

    url = f"mongodb://127.0.0.1:{opened.enter_context(program('benchmarks.mongo_server'))}/"
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    opened.push_async_callback(client.close)
    collection = client["floor"]["vcons"]

    async def send(vcon_uuid: str, text: bytes) -> None:
        document = {**orjson.loads(text), "_id": vcon_uuid}
        await collection.replace_one({"_id": vcon_uuid}, document, upsert=True)

    return Side({"url": url, "database": "ours"}, {"": send})


SIDES = {"postgres": postgres, "file": file, "s3": s3, "mongo": mongo}


@contextmanager
def program(module: str) -> Iterator[int]:
    """The port of a server of this package, in a process of its own."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def rounds_of(
    stack: EmbeddedStack, name: str, rounds: int, count: int
) -> dict[str, list[Round]]:
    """The rounds of a storage (`ours`) and of its floors."""
    measured: defaultdict[str, list[Round]] = defaultdict(list)
    vcons = made_up_vcons(count)
    http_client.fit(AT_ONCE)
    async with AsyncExitStack() as opened:
        store = await opened.enter_async_context(connected(stack.valkey.url))
        side = await SIDES[name](stack, opened)
        calls = PluginCalls(AT_ONCE, store._connection)
        opened.callback(calls.close)
        save = ours(calls, f"storage.{name}", side.options)
        for number in range(rounds + 1):
            new = [{**each, "uuid": f"{number:08x}{each['uuid'][8:]}"} for each in vcons]
            await asyncio.gather(*(store.put(each) for each in new))
            uuids = [each["uuid"] for each in new]
            for label, send in side.floors.items():
                measured[f"floor{label}"].append(await at_once(bare(send), uuids))
            measured["ours"].append(await at_once(save, uuids))
        await http_client.close()
    return {label: each[1:] for label, each in measured.items()}  # the first connects


def compared(measured: dict[str, list[Round]]) -> Iterator[tuple[str, float, float, float, float]]:
    """For each floor: its label, the ratio to it, our rate, our CPU time, and the floor's."""
    saves = measured["ours"]
    for label, floors in measured.items():
        if label != "ours":
            pairs = zip(saves, floors, strict=True)
            ratio = statistics.median(save.rate / floor.rate for save, floor in pairs)
            cpus = [statistics.median(each.cpu for each in some) for some in (saves, floors)]
            yield label, ratio, statistics.median(each.rate for each in saves), *cpus  # type: ignore[misc]


def measure(
    names: Iterable[str], rounds: int, count: int
) -> Iterator[tuple[str, dict[str, list[Round]]]]:
    """The rounds of each storage."""
    with ExitStack() as opened:
        stack = opened.enter_context(servers())
        for name in names:
            yield name, uvloop.run(rounds_of(stack, name, rounds, count))


def figures(rounds: int) -> Iterable[Figure]:
    """The short form for `make bench`."""
    for name, measured in measure(SIDES, rounds, COUNT // 2):
        lines = list(compared(measured))
        notes = [f"{ratio:.2f} of the {label}" for label, ratio, *_ in lines[1:]]
        _, ratio, _, cpu, floor = lines[0]
        note = "; ".join([f"CPU {cpu:.0f} us a vCon, of the floor {floor:.0f}", *notes])
        yield Figure(f"saves to {name}, {AT_ONCE} at once", ratio, AIMS[name], note=note)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--only", choices=SIDES, nargs="+", default=list(SIDES))
    given = parser.parse_args()
    print(f"{'storage':12}{'compared with':24}{'vCons/s':>9}{'ratio':>7}{'CPU us':>9}{'floor':>8}")
    for name, measured in measure(given.only, given.rounds, given.count):
        for label, ratio, rate, cpu, floor in compared(measured):
            print(f"{name:12}{label:24}{rate:9.0f}{ratio:7.2f}{cpu:9.0f}{floor:8.0f}")


if __name__ == "__main__":
    main()
