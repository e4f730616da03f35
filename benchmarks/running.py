"""A service that runs chains, for benchmarks: its processes, and those of its servers."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import children, cpu_seconds, with_children
from devstack.servers.stack import EmbeddedStack
from devstack.service import ServiceProcess

ROOT = Path(__file__).parents[1]
TOKEN = "a-token-of-the-benchmarks-0123456789"  # noqa: S105 -- opens nothing else
DATABASE = "running"


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds by part: since a process began, or between two readings."""

    parts: Mapping[str, float] = field(default_factory=dict)

    def since(self, before: "Cpu") -> "Cpu":
        """What was used after an earlier reading."""
        return Cpu({name: spent - before.parts[name] for name, spent in self.parts.items()})

    def each(self, count: int) -> dict[str, float]:
        """Microseconds for one of so many, by part."""
        return {name: spent / count * 1e6 for name, spent in self.parts.items()}


class Running:
    """One process with the HTTP API and its workers, beside its servers."""

    def __init__(self, stack: EmbeddedStack, process: ServiceProcess) -> None:
        """`process` is ready."""
        self.stack = stack
        self.process = process

    @property
    def workers(self) -> list[int]:
        """The process ids of its workers, and of its helper."""
        return children(self.process.pid)

    @property
    def pids(self) -> list[int]:
        """The service, and its children."""
        return [self.process.pid, *self.workers]

    def cpu(self) -> Cpu:
        """CPU seconds of each part until now."""
        postgres = self.stack.postgres.pid
        return Cpu(
            {
                "service": cpu_seconds(self.process.pid),
                "worker": sum(map(cpu_seconds, self.workers)),
                "redis": cpu_seconds(self.stack.valkey.pid),
                "postgres": with_children(postgres),
            }
        )


@contextmanager
def running(
    stack: EmbeddedStack, config: Mapping[str, Any], settings: Mapping[str, str], workers: int = 1
) -> Iterator[Running]:
    """The HTTP API with workers, on a database and a configuration file of this stack."""
    file = stack.folder / "running.yml"
    file.write_text(json.dumps(config))
    environment = {
        **stack.environment(DATABASE),
        "PYTHONPATH": str(ROOT),
        "LOG_FORMAT": "json",
        "ENVIRONMENT": "development",
        "API_PORT": "0",
        "CONSERVER_API_TOKEN": TOKEN,
        "CONSERVER_CONFIG_FILE": str(file),
        **settings,
    }
    arguments = ["api", "--workers", str(workers)]
    process = ServiceProcess(stack.folder, environment, name="running", arguments=arguments)
    try:
        process.wait_until_ready()
        yield Running(stack, process)
    finally:
        process.stop()
