"""Measures what a service costs that has nothing to do: CPU time, memory, imports, its start.

    python -m benchmarks.idle [--seconds 20] [--postgres]

One process with the HTTP API and one worker whose chains read ten lists. CPU time is a share of a
core; what its commands cost Redis and Postgres is told, less what these use by themselves. Imports
are measured with bytecode that is there already, as a share of a floor, too: the libraries that
cannot be left out. A start with 13 modules of a configuration is measured when all are installed.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.processes import (
    cpu_seconds,
    ended_too,
    proportional_bytes,
    wakes,
    with_children,
)
from benchmarks.running import DATABASE, ROOT, Running, running
from benchmarks.servers import servers
from devstack.servers.stack import EmbeddedStack

SETTLED_SECONDS = 5.0
LISTS = 10
MODULES = 13
IMPORTS = {
    "check": "import app.cli, app.preflight",
    "worker": "import app.cli, app.bootstrap_worker",
}
"""What a command imports before it begins."""
FLOOR = "import asyncio, uvloop, orjson, pydantic, pydantic_settings, redis.asyncio, yaml"


@dataclass(frozen=True, slots=True)
class Idle:
    """One window: shares of a core, wakes a second, bytes."""

    service: float
    worker: float
    redis: float
    postgres: float
    wakes: dict[str, float]
    memory: dict[str, int]

    @property
    def ours(self) -> float:
        """The share of a core that the service and its workers use."""
        return self.service + self.worker


def config() -> dict[str, Any]:
    """Ten chains of one link, with a list each."""
    chain = {"links": ["tag"], "storages": []}
    return {
        "links": {"tag": {"module": "links.tag", "options": {"tags": ["a"]}}},
        "chains": {f"c{n}": {**chain, "ingress_lists": [f"in{n}"]} for n in range(LISTS)},
    }


def idle(stack: EmbeddedStack, seconds: float, custody: str) -> Idle:
    """A window of a service that has been idle for a while."""
    with running(stack, config(), {"CUSTODY": custody}) as service:
        time.sleep(SETTLED_SECONDS)
        return window(service, seconds)


def window(service: Running, seconds: float) -> Idle:
    """What a running service uses in so many seconds."""
    names = _names(service)
    woken = {pid: wakes(pid) for pid in names}
    before, began = service.cpu(), time.perf_counter()
    time.sleep(seconds)
    spent, passed = service.cpu().since(before).parts, time.perf_counter() - began
    share = {name: used / passed for name, used in spent.items()}
    return Idle(
        **share,
        wakes={name: (wakes(pid) - woken[pid]) / passed for pid, name in names.items()},
        memory={name: proportional_bytes(pid) for pid, name in names.items()},
    )


def _names(service: Running) -> dict[int, str]:
    workers = {pid: f"child {n}" for n, pid in enumerate(service.workers, start=1)}
    return {service.process.pid: "service", **workers, service.stack.valkey.pid: "redis"}


def servers_alone(stack: EmbeddedStack, seconds: float) -> dict[str, float]:
    """The shares of a core that Redis and Postgres use by themselves."""

    def used() -> dict[str, float]:
        redis, postgres = stack.valkey.pid, stack.postgres.pid
        return {"redis": cpu_seconds(redis), "postgres": with_children(postgres)}

    before = used()
    time.sleep(seconds)
    return {name: (now - before[name]) / seconds for name, now in used().items()}


def import_seconds(code: str, folder: Path) -> float:
    """CPU seconds of an interpreter that runs this code, with its bytecode in a folder."""
    environ = {name: value for name, value in os.environ.items() if "BYTECODE" not in name}
    return cpu_of([sys.executable, "-c", code], environ | {"PYTHONPYCACHEPREFIX": str(folder)})


def cpu_of(command: list[str], environ: dict[str, str]) -> float:
    """CPU seconds of a program, which must succeed."""
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime


def imports(rounds: int) -> dict[str, float]:
    """Medians of CPU seconds: of each command, of the floor, and of nothing."""
    codes = {**IMPORTS, "floor": FLOOR, "nothing": "pass"}
    with tempfile.TemporaryDirectory() as folder:
        for code in codes.values():
            import_seconds(code, Path(folder))
        found = [
            {name: import_seconds(code, Path(folder)) for name, code in codes.items()}
            for _ in range(rounds)
        ]
    return {name: statistics.median(each[name] for each in found) for name in codes}


def start(stack: EmbeddedStack, modules: int) -> tuple[float, float]:
    """Seconds from the start of the process until `/ready`, and CPU seconds until then."""
    folder = stack.folder / "modules"
    settings = {"MODULES_DIR": str(folder), "DYNAMIC_INSTALL": "any", "CUSTODY": "redis"}
    began = time.perf_counter()
    with running(stack, config_with(stack, modules), settings) as service:
        return time.perf_counter() - began, sum(map(ended_too, service.pids))


def starts(stack: EmbeddedStack, rounds: int) -> Iterator[str]:
    """Lines about starts: modules missing, modules there, no modules; and pip alone."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    start(stack, 0)  # compiles bytecode, and migrates
    for _ in range(rounds):
        shutil.rmtree(stack.folder / "modules", ignore_errors=True)
        for what, modules in (("missing", MODULES), ("there", MODULES), ("none", 0)):
            found[what].append(start(stack, modules))
        found["pip alone"].append((pip_seconds(stack, MODULES), 0.0))
    for what, each in found.items():
        seconds, cpu = (statistics.median(column) for column in zip(*each, strict=True))
        yield f"start, {MODULES} modules, {what}: {seconds:.1f} s, {cpu:.1f} s of CPU"


def config_with(stack: EmbeddedStack, modules: int) -> dict[str, Any]:
    """A chain with links of packages, each a wheel of its own, and one built-in link."""
    names = [f"patchcord-idle-{number}" for number in range(modules)]
    links: dict[str, Any] = {"tag": {"module": "links.tag", "options": {"tags": ["a"]}}}
    for name, file in zip(names, wheels(stack, names), strict=True):
        module = name.replace("-", "_")
        links[name] = {"module": module, "pip_name": f"{name} @ {file.as_uri()}"}
    return {"links": links, "chains": {"all": {"links": list(links), "ingress_lists": ["in"]}}}


def wheels(stack: EmbeddedStack, names: Sequence[str]) -> list[Path]:
    """The wheels of packages with one link each."""
    folder = stack.folder / "packages"
    folder.mkdir(exist_ok=True)
    return [wheel(folder, name) for name in names]


def wheel(folder: Path, name: str) -> Path:
    """A wheel with one module, a link."""
    module = name.replace("-", "_")
    file, about = folder / f"{module}-1.0-py3-none-any.whl", f"{module}-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{module}.py", LINK)
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", f"{module}.py,,\n{about}/RECORD,,\n")
    return file


LINK = """
def run(vcon_uuid, link_name, opts=None):
    return vcon_uuid
"""


def pip_seconds(stack: EmbeddedStack, modules: int) -> float:
    """One call of pip that installs the same wheels into an empty folder: the floor."""
    files = wheels(stack, [f"patchcord-idle-{number}" for number in range(modules)])
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--no-index"]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command, "--target", folder, *files], check=True)
    return time.perf_counter() - began


def figures(rounds: int) -> Iterator[Figure]:
    """The short form, for `make bench`."""
    with servers() as stack:
        stack.postgres.create_database(DATABASE)
        yield _idle_figure(idle(stack, 10.0, "redis"))
        start(stack, MODULES)  # installs them
        there = min(start(stack, MODULES)[0] for _ in range(2))
        none = start(stack, 0)[0]
        yield Figure(f"start, {MODULES} modules", there, 3, True, " s", f"without: {none:.1f} s")
    found = imports(rounds)
    for name in IMPORTS:
        note = f"floor {found['floor']:.2f} s (libraries that cannot be left out)"
        yield Figure(f"imports of {name}, CPU", found[name], 0.5, True, " s", note)


def _idle_figure(found: Idle) -> Figure:
    memory = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in found.memory.items())
    note = f"Redis {found.redis:.2%}, Postgres {found.postgres:.2%} of a core; PSS: {memory}"
    return Figure("idle, of a core", found.ours * 100, 0.3, True, " %", note)


def lines(found: Idle, alone: dict[str, float]) -> Iterable[str]:
    """What a window found."""
    yield f"service {found.service:.2%}, worker {found.worker:.2%}, together {found.ours:.2%}"
    for name, used in (("Redis", found.redis), ("Postgres", found.postgres)):
        own = alone[name.lower()]
        yield f"{name}: {used:.2%}, of which {own:.2%} without a service"
    yield "wakes a second: " + ", ".join(f"{n} {each:.1f}" for n, each in found.wakes.items())
    yield "PSS, MB: " + ", ".join(f"{n} {size / 1e6:.0f}" for n, size in found.memory.items())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=5, help="of the imports")
    parser.add_argument("--only", choices=["idle", "imports", "start"])
    options = parser.parse_args()
    if options.only in (None, "idle", "start"):
        with servers() as stack:
            stack.postgres.create_database(DATABASE)
            if options.only != "start":
                alone = servers_alone(stack, options.seconds / 2)
                for custody in ("redis", "postgres"):
                    print(f"CUSTODY={custody}")
                    print(*lines(idle(stack, options.seconds, custody), alone), sep="\n")
            if options.only != "idle":
                print(*starts(stack, options.rounds), sep="\n")
    if options.only in (None, "imports"):
        found = imports(options.rounds)
        print("imports, CPU s:", ", ".join(f"{name} {each:.2f}" for name, each in found.items()))
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
