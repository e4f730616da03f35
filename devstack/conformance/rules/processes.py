"""The plugin's process: killed, forked, run a thousand times, ended."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.conformance.growing import MOST_PROCESSES
from devstack.conformance.host import Ran
from devstack.conformance.kit import Kit
from devstack.conformance.proxy import ToxicProxy
from devstack.conformance.redirect import redirected
from devstack.conformance.subject import CALL_SECONDS, SubjectError
from devstack.conformance.verdict import Verdict, failed, not_applicable, passed

CLOSED = ("threads", "processes", "sockets", "tasks")
EVENTS = 3
"""Connections and changes of files after which it is killed."""
COMMANDS = 8
"""Most writes to the connections with Redis after which it is killed."""
BLOCKS_A_RUN = 1.0
"""Objects that a run may leave; caches that are filled for long stay below."""
BYTES_A_RUN = 8192
"""Bytes that a run may leave outside of Python's objects; the heap's own growth stays below."""


LEAST_RUNS = 100
"""Runs before the first look at the memory, and between two; fewer show nothing."""


@dataclass(slots=True)
class _Point:
    """Where it was killed, and whether it was."""

    name: str
    killed: bool


def killed(kit: Kit) -> Verdict:
    """Killed at several points and run again: the result is that of one run."""
    points, _ = [], kit.reference
    for point, document in _deaths(kit):
        points += [point.name] if point.killed else []
        ran = kit.main.run(document, put=False)
        if ran.error:
            return failed(f"killed {point.name}, then: {ran.error}", kit.at(ran))
        if what := kit.differs(ran):
            return failed(f"killed {point.name}, not as after one run: {what}", kit.where())
    if not points:
        return not_applicable("it ended before it could be killed")
    return passed(f"killed {', '.join(points)}: the same result")


def _deaths(kit: Kit) -> Iterator[tuple[_Point, dict[str, Any]]]:
    if kit.peers:
        yield _during_a_request(kit)
    for number in range(1, EVENTS + 1):
        point, document = _at_event(kit, number)
        if not point.killed:
            break
        yield point, document
    for number in range(COMMANDS):
        point, document = _at_command(kit, number)
        if not point.killed:
            break
        yield point, document


def _during_a_request(kit: Kit) -> tuple[_Point, dict[str, Any]]:
    document = kit.document()
    with kit.loaded() as subject, kit.peer("held"):
        subject.tell("run", uuid=document["uuid"], seconds=CALL_SECONDS, put=document)
        reached = kit.proxy.touched.wait(CALL_SECONDS)
        subject.kill()
    return _Point("while its peer answered", reached), document


def _at_event(kit: Kit, number: int) -> tuple[_Point, dict[str, Any]]:
    document = kit.document()
    point = _Point(f"at its connection or file {number}", killed=False)
    with kit.loaded() as subject:
        subject.ask("put", document=document)
        subject.ask("arm", kill_at=number)
        try:
            subject.run(document, put=False)
        except SubjectError:
            point.killed = True
    return point, document


def _at_command(kit: Kit, number: int) -> tuple[_Point, dict[str, Any]]:
    document = kit.document()
    with ToxicProxy() as proxy:
        url = redirected(kit.redis_url, proxy.listen)
        with kit.loaded(redis_url=url) as subject:
            subject.run(kit.document())  # connections are opened, and their first words said
            subject.ask("put", document=document)
            proxy.touched.clear()
            proxy.allowed, proxy.mode = number, "counted"
            subject.tell("run", uuid=document["uuid"], seconds=CALL_SECONDS)
            reached = _reached(proxy, subject.answered)
            subject.kill()
    return _Point(f"after {number} writes to Redis", reached), document


def _reached(proxy: ToxicProxy, answered: Any) -> bool:
    """Whether a command was held, before the run had ended."""
    for _ in range(int(CALL_SECONDS * 50)):
        if proxy.touched.wait(0.02):
            return True
        if answered():
            return False
    return False


def forked(kit: Kit) -> Verdict:
    """Loaded in one process and run in one that is forked from it, as pre-forking hosts do."""
    _ = kit.reference
    with kit.loaded() as subject:
        words = {"document": kit.document(), "seconds": CALL_SECONDS}
        answer = subject.ask("forked", within=CALL_SECONDS * 3, **words)
    if not answer:
        return failed("the forked process gave no result: it hung or died", kit.where())
    ran = Ran(**answer)
    if ran.error:
        return failed(ran.error, kit.at(ran))
    if what := kit.differs(ran):
        return failed(f"another vCon than in a process of its own: {what}", kit.where())
    return passed("the same vCon")


def memory(kit: Kit) -> Verdict:
    """The number of objects does not grow with the number of runs."""
    growth = kit.growth
    first, middle, last = growth["looks"]
    if growth["failures"]:
        return failed(f"{growth['failures']} of {last['runs']} runs failed", kit.where())
    if min(first["runs"], last["runs"] - middle["runs"]) < LEAST_RUNS:
        return not_applicable(f"only {last['runs']} runs in the time that it has")
    objects = [_a_run(growth["looks"], number, "blocks") for number in (0, 1)]
    size = _a_run(growth["looks"], 1, "bytes")
    seen = f"{objects[1]:.2f} objects and {size:.0f} bytes more a run, at {last['runs']} runs"
    if min(objects) >= BLOCKS_A_RUN or (size > BYTES_A_RUN < _a_run(growth["looks"], 0, "bytes")):
        return failed(seen, kit.where([(f, line) for f, line, _ in reversed(growth["lines"])]))
    return passed(f"{seen} ({middle['blocks']} then {last['blocks']})")


def _a_run(looks: list[Mapping[str, int]], number: int, what: str) -> float:
    one, two = looks[number], looks[number + 1]
    return (two[what] - one[what]) / max(1, two["runs"] - one["runs"])


def threads(kit: Kit) -> Verdict:
    """The number of threads and of processes does not grow with the number of runs."""
    first, middle, last = kit.growth["looks"]
    for what in ("processes", "threads"):
        numbers = [each[what] for each in (first, middle, last)]
        seen = f"{', '.join(map(str, numbers))} {what} at {first['runs']}, {middle['runs']}, "
        seen += f"{last['runs']} runs"
        stopped = what == "processes" and last["processes"] > MOST_PROCESSES
        if stopped or numbers[0] < numbers[1] < numbers[2]:
            return failed(seen, kit.where(kit.left["started"]))
    return passed(seen)


def files(kit: Kit) -> Verdict:
    """Temporary files are gone, and nothing is written but where the options say."""
    named = tuple(kit.facts.paths)
    left = [each for each in kit.left["files"] if not _below(each, named)]
    stray = [each for each in kit.left["written"] if not _below(each, named)]
    stray = [each for each in stray if _is_there(each)]
    if found := sorted({*left, *stray}):
        told = f"{len(found)} left, such as {found[0]}"
        return failed(told, kit.where(kit.left["places"].get(found[0], ())))
    return passed("none but where its options say" if named else "none")


def _below(path: str, named: tuple[str, ...]) -> bool:
    return any(Path(path).is_relative_to(each) or path.startswith(f"{each}-") for each in named)


def _is_there(path: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(path).exists()
    return False


def closes(kit: Kit) -> Verdict:
    """After its end: nothing runs, no connection is open, nothing warns of never being closed."""
    left = kit.left
    told = [f"{name}: {', '.join(left[name])}" for name in CLOSED if left[name]]
    told += left["warnings"]
    told += [f"it changed for the whole process: {', '.join(left['changed'])}"] * bool(
        left["changed"]
    )
    if told:
        begun = left["started"] if left["threads"] or left["processes"] else ()
        return failed("; ".join(told), kit.where(begun))
    return passed("no threads, processes, connections, tasks, warnings or changes are left")
