"""`python -m tests.hops`: through how many files five things pass, and which.

A walk is everything of this project that runs between two ends that are seen from outside, on real
servers, in one process:

- `request`: the Plugboard sends an IngestVcon frame; it has the response.
- `vcon`: an adapter pushes a uuid into an ingress list; it is in the egress list, after one link
  and one storage that come from outside and do nothing.
- `partner`: as `request`, for an ExternalIngress with an ingress key.
- `http`: a client of the HTTP API sends POST /vcon for one list; it has the answer.
- `configuration`: a worker reads config.yml; the same chain's plugins are loaded.

A file is on a walk if any function of it begins or is resumed there, in any thread, until
`QUIET_SECONDS` after the second end. Each walk is taken `WALKS` times after as many to warm up, and
only files that were on every one of them count: so neither what is done at first use nor what goes
on beside it now and then (heartbeats, leases) does. What the service repeats by the clock goes on
beside every walk where a walk takes long, as on a busy machine: a file that is entered only there
does not count either. Modules' own bodies do not count, nor do the standard library, installed
packages and devstack.

A file marked `leaf` calls no other file of this project on the walk.
"""

import asyncio
import inspect
import json
import os
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FrameType
from typing import Any

import httpx
from redis.asyncio import Redis

from app.bootstrap import Service
from app.signals import StopSignals
from core.concurrency.aio import until_beat
from core.database import database
from core.environment import environment
from core.observability.loop_watch import LoopWatch
from core.settings import Settings
from devstack.plugboard import DevelopmentPlugboard, PlugboardSettings
from devstack.servers.ports import HOST, free_port
from devstack.servers.stack import EmbeddedStack
from pipeline import live_config
from pipeline.redis_client.periodic import every
from pipeline.runs.factories import config_path, installer, lenience
from pipeline.worker.process import WorkerProcess

ROOT = Path(__file__).parents[1]
ROOMS = (
    *("app", "core", "pipeline", "actions", "events", "http_api", "schemas"),
    *("lib", "links", "storage", "tracers"),
)
WALKS = 8
QUIET_SECONDS = 0.02
"""What is left when the second end is seen takes a millisecond."""
OUTSIDE = "in_own_thread.<locals>.work"
"""A thread's own function, which runs another in the context of the caller."""
TIMED_THREADS = frozenset({"freeze watch", "lease", "loop watch", "step reports", "watchdog"})
"""Threads that wake by the clock, beside the walks."""
CEILING_SECONDS = 60.0
API_TOKEN = "a token of the walks, long enough"
KEY = "a key of a partner, long enough to be taken"
CONFIG = f"""
links: {{pass_on: {{module: hops_link}}}}
storages: {{keep: {{module: hops_storage}}}}
chains:
  main: {{links: [pass_on], storages: [keep], ingress_lists: [in], egress_lists: [out]}}
  parked: {{ingress_lists: [parked], egress_lists: [parked_out]}}
ingress_auth: {{parked: "{KEY}"}}
"""
LINK = "async def run(vcon_uuid, link_name, opts):\n    return vcon_uuid\n"
STORAGE = "async def save(vcon_uuid, opts):\n    pass\n"

type Walk = Callable[[], Awaitable[None]]


@dataclass
class Visit:
    """One file on a walk: the functions entered, the first one first, and the files they call."""

    functions: list[str] = field(default_factory=list)
    calls: set[str] = field(default_factory=set)
    own: bool = False
    """Whether the walk itself entered it, and not only what is repeated by the clock."""


type Files = dict[str, Visit]
"""The files of a walk in the order they are entered."""


_by_the_clock: ContextVar[bool] = ContextVar("by the clock", default=False)
"""True in tasks that repeat something by the clock, and in the threads they start."""


@contextmanager
def told_apart() -> Iterator[None]:
    """Inside, the tasks of `every`, others that wait `until_beat`, and beats are known as such."""
    tool, start = sys.monitoring.COVERAGE_ID, sys.monitoring.events.PY_START
    codes = every.__code__, until_beat.__code__, LoopWatch._beat.__code__

    def begins(code: CodeType, _offset: int) -> None:
        caller = sys._getframe(1).f_back
        is_waiting = caller is not None and caller.f_code.co_flags & inspect.CO_COROUTINE
        if code is every.__code__ or is_waiting or not _caller(caller):  # of the event loop
            _by_the_clock.set(True)

    sys.monitoring.use_tool_id(tool, "hops by the clock")
    sys.monitoring.register_callback(tool, start, begins)
    for code in codes:
        sys.monitoring.set_local_events(tool, code, start)
    try:
        yield
    finally:
        for code in codes:
            sys.monitoring.set_local_events(tool, code, 0)
        sys.monitoring.free_tool_id(tool)


@contextmanager
def recording() -> Iterator[Files]:
    """Everything of this project that begins or is resumed inside, in every thread."""
    files: Files = {}
    tool, events = sys.monitoring.PROFILER_ID, sys.monitoring.events

    def entered(code: CodeType, _offset: int) -> None:
        timed = threading.current_thread().name in TIMED_THREADS
        if timed or code.co_qualname == OUTSIDE or not (path := _ours(code)):
            return
        visit = files.setdefault(path, Visit())
        visit.own |= not _by_the_clock.get()
        if code.co_qualname not in visit.functions:
            visit.functions.append(code.co_qualname)
        if (caller := _caller(sys._getframe(1).f_back)) not in ("", path):
            files.setdefault(caller, Visit()).calls.add(path)

    sys.monitoring.use_tool_id(tool, "hops")
    for event in (events.PY_START, events.PY_RESUME):
        sys.monitoring.register_callback(tool, event, entered)
    sys.monitoring.set_events(tool, events.PY_START | events.PY_RESUME)
    try:
        yield files
    finally:
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)


def _ours(code: CodeType) -> str:
    """The path of the code's file; empty when it is another's, or a module's own body."""
    if code.co_name == "<module>" or not code.co_filename.startswith(f"{ROOT}/"):
        return ""
    path = code.co_filename.removeprefix(f"{ROOT}/")
    return path if path.split("/")[0] in ROOMS else ""


def _caller(frame: FrameType | None) -> str:
    """The file of this project that is nearest in the stack; empty when there is none."""
    while frame is not None and not _ours(frame.f_code):
        frame = frame.f_back
    return _ours(frame.f_code) if frame else ""


async def taken(walk: Walk) -> Files:
    """The files that are on every one of several walks, as the last one enters them."""
    for _ in range(WALKS):
        await walk()
    recorded = []
    for _ in range(WALKS):
        await asyncio.sleep(QUIET_SECONDS)
        with recording() as files:
            await walk()
            await asyncio.sleep(QUIET_SECONDS)
        recorded.append(files)
    common = set.intersection(*(set(each) for each in recorded))
    # once will do: a task of the clock may send what the walk has written together with its own
    common &= {path for each in recorded for path, visit in each.items() if visit.own}
    return {path: visit for path, visit in recorded[-1].items() if path in common}


def vcon() -> dict[str, Any]:
    """A small vCon that nothing has seen before."""
    return {
        "vcon": "0.4.0",
        "uuid": str(uuid.uuid4()),
        "created_at": "2026-11-21T12:00:00+00:00",
        "parties": [{"tel": "+15550100", "name": "Ann"}],
        "dialog": [],
        "analysis": [],
        "attachments": [],
    }


async def vcons_walk(settings: Settings, redis: Any) -> Files:
    """Claim to settlement, in a worker."""
    worker = WorkerProcess(settings, "hops", lambda: None)
    running = asyncio.create_task(worker.run())

    async def walk() -> None:
        document = vcon()
        await redis.execute_command(
            "JSON.SET", f"vcon:{document['uuid']}", ".", json.dumps(document)
        )
        await redis.rpush("in", document["uuid"])
        assert await redis.blpop(["out"], timeout=CEILING_SECONDS)

    try:
        return await taken(walk)
    finally:
        await worker.stop(running, CEILING_SECONDS, asyncio.Event())
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await worker.close()


async def requests_walks(settings: Settings, board: DevelopmentPlugboard, service: Any) -> Any:
    """An IngestVcon, an ExternalIngress with a key, and a POST, in the service process."""
    signals = StopSignals()
    # first, since migrating takes as long as the first walks, and beside them counts as theirs
    database.initialize(settings)
    await asyncio.to_thread(database.migrate)
    unmoved = settings.model_copy(update={"migrate_on_start": False})
    running = asyncio.create_task(Service(unmoved).run(signals))

    async def ask(action: str, **fields: Any) -> None:
        answer = await board.request(service, action, {"vcon": vcon(), **fields})
        assert answer["status_code"] in (200, 201), answer

    try:
        await board.wait_joined(service)
        own = await taken(lambda: ask("IngestVcon", ingress_lists=["parked"]))
        partner = await taken(lambda: ask("ExternalIngress", ingress_list="parked", api_key=KEY))
        posted = await http_walk(settings)
    finally:
        signals.asked.set()
        signals.hurry.set()
        await running
    return own, partner, posted


async def http_walk(settings: Settings) -> Files:
    """A POST over a connection that is kept alive."""
    headers = {settings.conserver_header_name: API_TOKEN}
    url = f"http://{settings.api_host}:{settings.api_port}"
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:

        async def walk() -> None:
            answer = await client.post("/vcon?ingress_lists=parked", json=vcon())
            assert answer.status_code == httpx.codes.CREATED, answer.text

        return await taken(walk)


async def configurations_walk(settings: Settings) -> Files:
    """A file to the plugins it names."""
    path, environ, modules = config_path(settings), environment(), installer(settings)
    lenient = lenience(settings)

    async def walk() -> None:
        live_config.load(path, environ, modules, **lenient)

    return await taken(walk)


async def walks() -> dict[str, Files]:
    """All five, each on servers that hold little else."""
    with told_apart():
        return await _walks()


async def _walks() -> dict[str, Files]:
    async with _scene() as (settings, board, service):
        request, partner, posted = await requests_walks(settings, board, service)
        async with Redis.from_url(
            os.environ["REDIS_URL"], decode_responses=True, socket_timeout=2 * CEILING_SECONDS
        ) as redis:
            vcons = await vcons_walk(settings, redis)
        configuration = await configurations_walk(settings)
    return {
        "request": request,
        "vcon": vcons,
        "partner": partner,
        "http": posted,
        "configuration": configuration,
    }


@asynccontextmanager
async def _scene() -> AsyncIterator[tuple[Settings, DevelopmentPlugboard, Any]]:
    """The settings of a service on servers of its own, and the Plugboard in front of it."""
    with TemporaryDirectory() as folder, EmbeddedStack(fsync=False) as stack:
        _write(Path(folder))
        stack.postgres.create_database("hops")
        async with DevelopmentPlugboard(PlugboardSettings(losses=False)) as board:
            service = board.create_service("hops")
            os.environ |= {
                **stack.environment("hops"),
                "ENV_FILE": "",
                "ENVIRONMENT": "test",
                "WEBSOCKET_URL": board.websocket_url,
                "TOKEN": board.create_token(service).value,
                "CONSERVER_CONFIG_FILE": f"{folder}/config.yml",
                "CONSERVER_API_TOKEN": API_TOKEN,
                "API_HOST": HOST,
                "API_PORT": str(free_port()),
                "PYTHONPATH": folder,
            }
            sys.path.append(folder)
            yield Settings(), board, service


def _write(folder: Path) -> None:
    (folder / "config.yml").write_text(CONFIG)
    (folder / "hops_link.py").write_text(LINK)
    (folder / "hops_storage.py").write_text(STORAGE)


def report(walks_taken: dict[str, Files]) -> str:
    """The files of each walk in order, each with how many of its functions run, and the first."""
    lines = []
    for name, files in walks_taken.items():
        lines.append(f"{name}: {len(files)} files")
        for number, (path, visit) in enumerate(files.items(), 1):
            leaf = "" if visit.calls else "leaf"
            count = len(visit.functions)
            lines.append(f"{number:4} {path:44} {leaf:5} {count:3} {visit.functions[0]}")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Print the report; with `--json` the files of each walk alone, as data."""
    walks_taken = asyncio.run(walks())
    as_data = {name: list(files) for name, files in walks_taken.items()}
    told = json.dumps(as_data) if "--json" in sys.argv else report(walks_taken)
    sys.stdout.write(f"{told}\n")


if __name__ == "__main__":
    main()
