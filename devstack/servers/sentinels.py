"""A primary and a replica with three sentinels, which promote the replica if the primary is lost.

    with Sentinels(folder) as group:
        settings["REDIS_URL"] = group.url
        group.stop_link()       # from now on the replica is behind
        group.primary.kill()    # or .freeze(): open connections are not answered
        group.wait_for_promotion()

`primary` is the server that the sentinels lead clients to, `replica` the other one; both are
`Valkey` with JSON. A killed primary can be started again (`replica.restart()` after the promotion):
the sentinels make it a replica of the new one.

The link between the servers is stopped by taking from the replica the right to replicate; a proxy
in the way would be circumvented, since sentinels correct the address that a replica follows.
Sentinels promote no replica whose link has been down for longer than ten times `down_after`, so
kill the primary within that time after `stop_link`.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from devstack.errors import StackError
from devstack.servers.folders import claimed
from devstack.servers.ports import HOST, free_port
from devstack.servers.process import POLL_SECONDS, KeptProcess, private
from devstack.servers.valkey import Valkey, server_program

SERVICE = "mymaster"
SENTINELS = 3
QUORUM = 2
PROMOTION_SECONDS = 30
REPLICATION = (
    "user replication on >of-the-replica ~* &* +psync +replconf +ping",
    "masteruser replication",
    "masterauth of-the-replica",
    "repl-diskless-sync-delay 0",
    "repl-ping-replica-period 1",
    "repl-timeout 5",
)
PERIODS = {"ask-period": 100, "info-period": 200, "publish-period": 200}
"""Of the sentinels, milliseconds; their own are ten times as long."""


class Sentinels:
    """A context manager that starts and stops all five servers."""

    def __init__(self, folder: Path, *, down_after: float = 0.5, password: str = "") -> None:
        """`down_after`: seconds without an answer until the primary counts as lost.

        `password` is of the two servers; the sentinels have none.
        """
        self._folder = folder
        self._down_after = down_after
        self._password = password
        self._running = ExitStack()
        self._sentinels: list[KeptProcess] = []
        self.ports: list[int] = []
        """Those of the sentinels."""
        self.primary: Valkey
        self.replica: Valkey

    def __enter__(self) -> Self:
        """Starts the servers; returns when the replica has all, and each sentinel knows all.

        Raises:
            StackError: one does not start.
        """
        with ExitStack() as started:
            self.primary = self._start_server("one", started, ())
            follow = f"replicaof {HOST} {self.primary.port}"
            self.replica = self._start_server("two", started, (follow,))
            self.wait_until_in_sync()
            self._start_sentinels(started)
            self._running = started.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()

    @property
    def url(self) -> str:
        """The address for `REDIS_URL`."""
        user = f":{self._password}@" if self._password else ""
        hosts = ",".join(f"{HOST}:{port}" for port in self.ports)
        return f"redis+sentinel://{user}{hosts}/{SERVICE}/0"

    def client(self, server: Valkey) -> Any:
        """A client of one of the two servers."""
        password = self._password or None
        return Redis(host=HOST, port=server.port, password=password, decode_responses=True)

    def wait_until_in_sync(self) -> None:
        """Wait until the replica has all that the primary has executed.

        Raises:
            StackError: it does not get it in time.
        """
        _wait(self._in_sync, "the replica does not follow its primary", self._told)

    def _in_sync(self) -> bool:
        ahead, behind = self._replication(self.primary), self._replication(self.replica)
        is_up = behind.get("master_link_status") == "up"
        return is_up and ahead["master_repl_offset"] <= behind["slave_repl_offset"]

    def _replication(self, server: Valkey) -> dict[str, Any]:
        with self.client(server) as client:
            return dict(client.info("replication"))

    def stop_link(self) -> None:
        """The replica receives nothing from now on; see the head of this file for how long."""
        with self.client(self.primary) as client:
            client.execute_command("ACL", "SETUSER", "replication", "off")
            client.execute_command("CLIENT", "KILL", "TYPE", "replica")

    def restore_link(self) -> None:
        """The replica follows again, and gets what it has missed."""
        with self.client(self.primary) as client:
            client.execute_command("ACL", "SETUSER", "replication", "on")
        self.wait_until_in_sync()

    def fail_over(self) -> None:
        """Have the sentinels promote the replica while the primary runs."""
        _wait(self._begins_failover, "the sentinels accept no replica", self._told)
        self.wait_for_promotion()

    def _begins_failover(self) -> bool:
        """Whether a sentinel does; it first has to hear of a replica that follows again."""
        with _sentinel(self.ports[0]) as sentinel:
            try:
                sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE)
            except ResponseError:
                return False
        return True

    def wait_for_promotion(self) -> None:
        """Wait until every sentinel leads to the replica, which then is `primary`.

        Raises:
            StackError: it does not happen in time; the message has what the sentinels logged.
        """
        _wait(self._is_promoted, "the replica is not promoted", self._told)
        self.primary, self.replica = self.replica, self.primary

    def _is_promoted(self) -> bool:
        addresses = {_address(port) for port in self.ports}
        return addresses == {self.replica.port} and (
            self._replication(self.replica)["role"] == "master"
        )

    def _told(self) -> str:
        return " | ".join(each.last_words() for each in self._sentinels)

    def kill_sentinel(self, number: int) -> None:
        """Kill one of the sentinels, by its place in `ports`."""
        self._sentinels[number].kill()

    def _start_server(self, name: str, started: ExitStack, lines: tuple[str, ...]) -> Valkey:
        server = Valkey.start(
            self._folder / name, password=self._password, lines=(*REPLICATION, *lines)
        )
        started.callback(server.kill)  # a frozen one does not stop
        return server

    def _start_sentinels(self, started: ExitStack) -> None:
        names = [uuid4().hex + uuid4().hex[:8] for _ in range(SENTINELS)]
        self.ports = [free_port() for _ in names]
        for number in range(SENTINELS):
            folder = self._folder / f"sentinel-{number}"
            process = _launched(folder, self._configuration(number, names, folder))
            started.callback(process.stop)
            self._sentinels.append(process)
            with _sentinel(self.ports[number]) as sentinel:
                for period, milliseconds in PERIODS.items():
                    sentinel.execute_command("SENTINEL", "DEBUG", period, milliseconds)
        _wait(self._all_know_all, "the sentinels do not find each other", self._told)

    def _configuration(self, number: int, names: list[str], folder: Path) -> list[str]:
        """Of a sentinel that knows the others and the replica, not to wait for their messages."""
        others = [each for each in range(SENTINELS) if each != number]
        return [
            f"port {self.ports[number]}",
            f"bind {HOST}",
            f'dir "{folder}"',
            f"sentinel myid {names[number]}",
            f"sentinel monitor {SERVICE} {HOST} {self.primary.port} {QUORUM}",
            f"sentinel down-after-milliseconds {SERVICE} {round(self._down_after * 1000)}",
            f"sentinel failover-timeout {SERVICE} 1500",
            *([f"sentinel auth-pass {SERVICE} {self._password}"] if self._password else []),
            f"sentinel known-replica {SERVICE} {HOST} {self.replica.port}",
            *(
                f"sentinel known-sentinel {SERVICE} {HOST} {self.ports[each]} {names[each]}"
                for each in others
            ),
        ]

    def _all_know_all(self) -> bool:
        return all(map(_knows_all, self.ports))


def _sentinel(port: int) -> Any:
    return Redis(host=HOST, port=port, decode_responses=True)


def _address(port: int) -> int:
    with _sentinel(port) as sentinel:
        _, found = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
    return int(found)


def _knows_all(port: int) -> bool:
    with _sentinel(port) as sentinel:
        primary = sentinel.sentinel_master(SERVICE)
        replicas = sentinel.sentinel_slaves(SERVICE)
    return (
        primary["flags"] == "master"
        and primary["num-other-sentinels"] == SENTINELS - 1
        and [each["flags"] for each in replicas] == ["slave"]
        and replicas[0]["master-link-status"] == "ok"
    )


def _launched(folder: Path, lines: list[str]) -> KeptProcess:
    folder.mkdir(parents=True)
    configuration = folder / "sentinel.conf"
    with open(configuration, "w", encoding="utf-8", opener=private) as file:
        file.writelines(f"{line}\n" for line in lines)
    with claimed(folder) as lock:
        process = KeptProcess(
            "sentinel",
            [server_program(), configuration, "--sentinel"],
            folder=folder,
            stop_signal=SIGTERM,
            pass_fds=[lock],
        )
    process.wait_for_log("Sentinel ID is")
    return process


def _wait(condition: Callable[[], bool], problem: str, told: Callable[[], str]) -> None:
    """Poll until the condition holds; sentinels offer no event for what is waited for."""
    deadline = time.monotonic() + PROMOTION_SECONDS
    while not _holds(condition):
        if time.monotonic() > deadline:
            raise StackError(f"{problem}: {told()}")
        time.sleep(POLL_SECONDS)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except (RedisError, OSError):  # a server that starts, or one that was killed
        return False
