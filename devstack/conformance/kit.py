"""Checks one plugin by all rules, each bounded in time."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from core.errors import ConfigurationError
from devstack.conformance import documents
from devstack.conformance.cases import Case, secret_values
from devstack.conformance.documents import Document
from devstack.conformance.host import Facts, Ran
from devstack.conformance.proxy import Mode, ToxicProxy
from devstack.conformance.redirect import Upstream, places, redirected
from devstack.conformance.subject import OutOfTimeError, Subject, SubjectError, own_place
from devstack.conformance.verdict import Verdict, failed, not_applicable, not_tried

RUNS = 1000
RUNS_SECONDS = 10.0
"""When many runs have taken so long, fewer count."""
MOST_SECONDS = 60.0
"""When a check has taken so long, its remaining rules are not tried, nor is the present one."""

MORE_TIME = "--seconds gives it more time, --only tries it alone"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its name, what it asks for, and the function that tries it.

    `quick`: it needs no process of its own and no waiting.
    """

    name: str
    asks: str
    check: Callable[["Kit"], Verdict]
    quick: bool = True


@dataclass(frozen=True, slots=True)
class Checked:
    """A rule, its verdict, and the seconds it took."""

    rule: Rule
    verdict: Verdict
    seconds: float


class BrokenError(Exception):
    """A rule cannot be tried, because the plugin fails without any trouble."""

    def __init__(self, text: str, where: str) -> None:
        super().__init__(text)
        self.where = where


class Kit:
    """One plugin under test, with what rules try it with.

    `peers`: the places that its options name. Its options lead to the proxy instead.
    """

    facts: Facts

    def __init__(
        self,
        case: Case,
        starter: ForkServerContext,
        redis_url: str,
        proxy: ToxicProxy,
        seconds: float | None = None,
    ) -> None:
        """`seconds`: for all rules together, from now on; None: `MOST_SECONDS`."""
        self.seconds = MOST_SECONDS if seconds is None else seconds
        self.until = time.monotonic() + self.seconds
        self.given, self.redis_url, self.proxy = case, redis_url, proxy
        self._starter = starter
        self._led = {n: each for n, each in case.options.items() if n not in case.direct}
        self.peers = [*places(self._led), *places(case.connections)]
        self.peers += places(dict(case.environment))
        self.case = self._through_proxy(case)
        self._open = ExitStack()
        self._main: Subject | None = None
        self._was_loaded = False

    def _through_proxy(self, case: Case) -> Case:
        listen = self.proxy.listen
        own = {each for each in self.peers if (each.host, each.port) == _address(self.redis_url)}

        def lead(upstream: Upstream) -> tuple[str, int]:
            return (upstream.host, upstream.port) if upstream in own else listen(upstream)

        self.peers = [each for each in dict.fromkeys(self.peers) if each not in own]
        return replace(
            case,
            options={**case.options, **redirected(self._led, lead)},
            environment=redirected(dict(case.environment), lead),
            connections=redirected(case.connections, lead),
        )

    def load(self) -> None:
        """Load the plugin for the first time.

        Raises:
            ConfigurationError, SubjectError: a chain could not use it.
        """
        self.facts = self.main.load()
        self._was_loaded = True

    def direct(self) -> None:
        """Let the options lead to the peers themselves: they refuse the proxy's address."""
        self.end()
        self.case, self.peers = self.given, []

    @property
    def main(self) -> Subject:
        """The process that quick rules share, started again if it has died."""
        if self._main is None or not self._main.alive:
            self.end()
            self._main = self._open.enter_context(self.subject())
            if self._was_loaded:
                self._main.load()
        return self._main

    def subject(self, case: Case | None = None, redis_url: str = "") -> Subject:
        """A process of its own, in which nothing is loaded yet."""
        url = redis_url or self.redis_url
        return Subject(self._starter, case or self.case, url, self.until)

    @contextmanager
    def loaded(self, case: Case | None = None, redis_url: str = "") -> Iterator[Subject]:
        """A process of its own with the plugin loaded; the one of the quick rules has ended.

        Two at once could not share a file that one of them has locked.
        """
        self.end()
        with self.subject(case, redis_url) as subject:
            subject.load()
            yield subject

    @contextmanager
    def peer(self, mode: Mode) -> Iterator[None]:
        """The peers in this mode; open connections are dropped before and after a failure."""
        self.proxy.mode = mode
        self.proxy.touched.clear()
        if mode != "slow":
            self.proxy.drop()
        try:
            yield
        finally:
            self.proxy.mode = "pass"
            if mode != "slow":
                self.proxy.drop()

    def document(self) -> dict[str, Any]:
        """The vCon to run on, with a uuid of its own."""
        return documents.fresh(self.case.vcon) if self.case.vcon else documents.rich()

    @cached_property
    def reference(self) -> Ran:
        """A call without any trouble.

        Raises:
            BrokenError: it failed, so there is nothing to compare with.
        """
        ran = self.main.run(self.document())
        if ran.error:
            raise BrokenError(f"without any trouble: {ran.error}", self.at(ran))
        return ran

    @cached_property
    def _varies(self) -> bool:
        """Whether two vCons that differ in their uuids only end differently, without trouble."""
        other = self.main.run(self.document())
        return not documents.same(self.reference.vcon, other.vcon)

    def differs(self, ran: Ran) -> str:
        """How a call ended otherwise than without trouble; "" if it did not.

        If the contents differ without trouble, too, as those of receipts do, entries are compared
        by their types.
        """
        expected = self.reference
        if documents.same(ran.vcon, expected.vcon):
            return "" if documents.same(ran.saved, expected.saved) else "`get` returns another vCon"
        if self._varies and documents.outline(ran.vcon) == documents.outline(expected.vcon):
            return ""
        return self.difference(expected.vcon, ran.vcon) or "the vCon is gone"

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        known = frozenset(self.facts.secrets)
        found = [*secret_values(self.case.options, known), *secret_values(self.case.environment)]
        return tuple(value for _, value in found)

    def difference(self, one: Document | None, other: Document | None) -> str:
        """The members in which two states of a vCon differ, without the values of secrets."""
        return documents.difference(one, other, self._secrets)

    @cached_property
    def growth(self) -> dict[str, Any]:
        """Memory and threads over many runs."""
        with self.loaded() as subject:
            words = {"document": self.document(), "runs": RUNS, "seconds": RUNS_SECONDS}
            found: dict[str, Any] = subject.ask("many", within=RUNS_SECONDS * 2 + 20, **words)
            return found

    @cached_property
    def left(self) -> dict[str, Any]:
        """What is left after a few runs and the plugin's end."""
        with self.loaded() as subject:
            for _ in range(3):
                subject.run(self.document())
            seen = subject.ask("seen")
            left = subject.ask("close")
            return {**left, **seen, "processes": subject.end_alone()}

    def where(self, frames: Iterable[tuple[str, int]] = ()) -> str:
        """The deepest of these lines that is the plugin's, or that of its main function."""
        own = [(file, line) for file, line in frames if self._is_own(file)]
        return self._place(*(own[-1] if own else (self.facts.file, self.facts.line)))

    def place(self) -> str:
        """The line to change of a plugin that cannot be loaded."""
        found = own_place(self.given.module, self.main.ask("place"))
        return self._place(*found) if found else self.given.module

    def _place(self, file: str, line: int) -> str:
        with contextlib.suppress(ValueError):
            file = str(Path(file).relative_to(Path.cwd()))
        return f"{file}:{line}"

    def _is_own(self, file: str) -> bool:
        folder = self.facts.folder
        return file == self.facts.file or bool(folder and file.startswith(f"{folder}/"))

    def at(self, ran: Ran) -> str:
        """The line of the plugin at which a call failed."""
        return self.where(ran.frames)

    def end(self) -> None:
        """End the processes."""
        self._open.close()
        self._main = None


def _address(url: str) -> tuple[str, int]:
    [upstream] = places(url)
    return upstream.host, upstream.port


def check(kit: Kit, rules: Sequence[Rule]) -> Iterator[Checked]:
    """Try the rules in turn; a plugin that cannot be loaded fails the first one, the contract."""
    broken = ""
    try:
        for number, rule in enumerate(rules):
            start = time.monotonic()
            verdict = _verdict(kit, rule, broken)
            if number == 0 and verdict.outcome == "fail":
                broken = "a chain cannot load it"
            yield Checked(rule, verdict, time.monotonic() - start)
    finally:
        kit.end()


def _verdict(kit: Kit, rule: Rule, broken: str) -> Verdict:
    if reason := broken or _too_late(kit):
        return not_tried(reason)
    if reason := kit.given.exceptions.get(rule.name, ""):
        return not_applicable(reason)
    try:
        return _tried(kit, rule)
    except OutOfTimeError:
        return not_tried(f"the time ended meanwhile; {MORE_TIME}")


def _tried(kit: Kit, rule: Rule) -> Verdict:
    try:
        return rule.check(kit)
    except BrokenError as error:
        return failed(str(error), error.where)
    except SubjectError as error:
        return failed(str(error).strip().splitlines()[-1], kit.where(error.frames))
    except ConfigurationError as error:
        return failed(str(error), kit.where())


def _too_late(kit: Kit) -> str:
    """Why a rule is not tried; "" if there is time."""
    if time.monotonic() < kit.until:
        return ""
    return f"the check has taken {kit.seconds:g} s already; {MORE_TIME}"
