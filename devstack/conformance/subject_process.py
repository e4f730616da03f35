"""The process in which a plugin runs: it obeys the kit's commands, one at a time.

It is forked from a server process that has imported the service but no plugin. Its folder, which is
also that of temporary files, is empty at the start; what it prints goes to a file beside it.
"""

import asyncio
import contextlib
import errno
import faulthandler
import importlib
import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core.errors import ConfigurationError
from devstack.conformance import descendants, growing
from devstack.conformance.cases import Case
from devstack.conformance.host import MOST_PRINTED, Host, kind_in, refusal, unreadable
from devstack.conformance.watching import Warned, Watch, open_sockets, settings, threads
from lib import limits
from lib.vcon_library import prepare
from lib.vcon_server import aliases

THREAD_SECONDS = 1.0
"""How long threads, and processes after their parent's end, may take to end."""
PIPE_CLOSED = 74
"""The exit code of a process whose pipe the plugin has closed."""

type Answer = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """What a subject process is started with; `folder` has `work/`, `output` and `stacks`."""

    case: Case
    redis_url: str
    folder: str


def serve(connection: Connection, order: Order) -> None:
    """The process: prepare it, then obey commands until the kit hangs up."""
    _prepare(order)
    subject = _Subject(order)
    try:
        while True:
            name, arguments = connection.recv()
            connection.send(subject.obey(name, arguments))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        os._exit(0)
    except OSError as error:
        if error.errno == errno.EBADF:
            os._exit(PIPE_CLOSED)
        raise


def _prepare(order: Order) -> None:
    folder = Path(order.folder)
    descendants.keep_below()
    os.chdir(folder / "work")
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "work")
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    stacks = (folder / "stacks").open("w")
    faulthandler.register(signal.SIGUSR1, file=stacks, all_threads=True)
    os.environ.update(order.case.environment)
    limits._limits = limits.Limits(allow_private_urls=True)
    aliases.install()
    prepare()


class _Subject:
    def __init__(self, order: Order) -> None:
        port = urlsplit(order.redis_url).port or 6379
        self._case, self._port = order.case, port
        self._folder = Path(order.folder)
        self._watch, self._warned, self._settings = Watch(port), Warned(), settings()
        self._host = Host(order.case, order.redis_url)
        self._loop = asyncio.new_event_loop()
        self._threads: list[str] = []
        logging.getLogger().addHandler(self._host.log)
        logging.getLogger().setLevel(logging.INFO)
        logging.getLogger(order.case.module).setLevel(logging.DEBUG)

    def obey(self, name: str, arguments: dict[str, Any]) -> Answer:
        """Carry out one command; an error of the kit or of the plugin's module is an answer."""
        try:
            command: Callable[..., Awaitable[Any]] = getattr(self, f"do_{name}")
            return "done", self._loop.run_until_complete(command(**arguments))
        except ConfigurationError as error:
            return "refused", str(error)
        except BaseException as error:  # noqa: BLE001 -- importing a plugin may raise anything
            return "error", "".join(traceback.format_exception(error))[-2000:]

    async def do_unreadable(self) -> str:
        """Why its module is not there or no Python, in one line; "" otherwise."""
        return unreadable(self._case.module)

    async def do_kind(self) -> str | None:
        """The kind of the module."""
        return kind_in(importlib.import_module(self._case.module))

    async def do_load(self) -> dict[str, Any]:
        """Load the plugin; its facts."""
        await self._host.open()
        facts = asdict(self._host.load())
        self._threads = threads()
        self._watch.arm()
        return facts

    async def do_place(self) -> list[tuple[str, int]]:
        """Files and lines, of which the last one in the plugin is to be changed."""
        return self._host.place()

    async def do_refusal(self, options: dict[str, Any]) -> str | None:
        """The refusal of other options; None if they are taken."""
        return refusal(self._host, options)

    async def do_run(
        self,
        uuid: str,
        seconds: float,
        put: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Call the plugin, perhaps on a vCon that is stored first, or with other options."""
        if put is not None:
            await self._host.put(put)
        loaded = None if options is None else self._host.reloaded(options)
        return (await self._host.run(uuid, seconds, loaded)).as_plain()

    async def do_saved(self, uuid: str, seconds: float) -> dict[str, Any] | None:
        """What a storage has of a vCon."""
        return await self._host.saved(uuid, seconds)

    async def do_put(self, document: dict[str, Any]) -> None:
        """Store a vCon."""
        await self._host.put(document)

    async def do_keys(self) -> list[str]:
        """All keys in Redis."""
        return sorted(await self._host.redis.command("KEYS", "*"))

    async def do_arm(self, kill_at: int = 0) -> None:
        """Record from now on."""
        self._watch.arm(kill_at=kill_at)

    async def do_seen(self) -> dict[str, Any]:
        """What was recorded: peers, files that were written, threads."""
        return {
            "peers": self._watch.peers,
            "written": self._watch.written,
            "places": self._watch.places,
            "started": self._watch.started,
        }

    async def do_many(self, document: dict[str, Any], runs: int, seconds: float) -> dict[str, Any]:
        """Run it many times; how memory and threads grew."""
        self._watch.disarm()
        return await growing.grown(self._host, document, runs, seconds)

    async def do_forked(self, document: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Run it in a process that is forked from this one, in which it is loaded already."""
        return growing.in_a_fork(self._host, document, seconds)

    async def do_close(self) -> dict[str, Any]:
        """Close the plugin and say what is left: threads, sockets, files, warnings, changes."""
        await self._host.close()
        await asyncio.sleep(0)
        others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        tasks = [str(task.get_coro()) for task in others if "conformance" not in str(task)]
        left = await self._threads_left()
        sockets = open_sockets(self._port)
        growing.drop_modules(self._case.module)
        return {
            "threads": left,
            "changed": sorted(n for n, each in settings().items() if each != self._settings[n]),
            "sockets": sockets,
            "tasks": [each for each in tasks if "redis" not in each],
            "files": sorted(str(p) for p in (self._folder / "work").rglob("*") if p.is_file()),
            "warnings": list(self._warned.texts),
        }

    async def _threads_left(self) -> list[str]:
        """Threads that were started and have not ended shortly after the plugin's end."""
        until = time.monotonic() + THREAD_SECONDS
        while left := sorted(set(threads()) - set(self._threads)):
            if time.monotonic() > until:
                break
            await asyncio.sleep(0.02)  # a thread that has been told ends by itself
        return left

    async def do_output(self) -> str:
        """What was printed."""
        with contextlib.suppress(ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        with (self._folder / "output").open(errors="replace") as printed:
            return printed.read(MOST_PRINTED)
