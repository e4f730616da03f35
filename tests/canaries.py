"""The secrets that the tests use, and the search for them in all that was written meanwhile.

A secret is known as soon as a test names it with `canary`, or anything in this process makes one
with the standard library's `secrets`. Searched is what the service's own formatter makes of every
line logged in this process, what processes wrote to this one's output or to a pipe of standard
error, the logs of all servers and services that the tests started, and what a test, or a system
that it ran, left in Redis and in Postgres. A secret found fails the session.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator
from operator import itemgetter
from subprocess import Popen
from typing import TYPE_CHECKING, Any

import pytest

from lib.vcon_library import prepare

if TYPE_CHECKING:
    from psycopg import Connection

SHORTEST = 8
"""What is shorter would be found by chance."""
SHORTEST_MADE = 16
"""The same for what is made of random letters: a driver names each of its pools by eight digits,
and sooner or later one of the many uuids that tests write has the same eight."""


class Canaries:
    """Secrets, and the texts that must not have them."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._texts: dict[str, list[str]] = {}

    def add(self, secret: str) -> str:
        """The same secret; from now on it must be in no log."""
        if len(secret) >= SHORTEST:
            self._secrets.add(secret)
        return secret

    def keep(self, where: str, text: str) -> None:
        """Search this text, too, when all secrets are known."""
        self._texts.setdefault(where, []).append(text)

    def found(self) -> Iterator[str]:
        """Where secrets are, with the words around them and without them."""
        for where, texts in self._texts.items():
            text = "\n".join(texts)
            for secret in self._secrets:
                before, hit, after = text.partition(secret)
                if hit:
                    around = f"{before[-200:]}<{len(secret)} letters>{after[:200]}"
                    yield f"{where}: ...{self._hidden(around)}..."

    def _hidden(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "<another>")
        return text


CANARIES = Canaries()


def canary(secret: str) -> str:
    """The same secret, from now on searched for; ValueError if it may stand somewhere by chance.

    Words alone do: a token "of-the-service" is part of the demo's, which is no secret.
    """
    if len(secret) < SHORTEST or not any(character.isdigit() for character in secret):
        raise ValueError(f"give the canary {secret!r} digits of its own, and {SHORTEST} characters")
    return CANARIES.add(secret)


class LogSearch:
    """A plugin of pytest: keeps what is logged and searches it at the end."""

    def __init__(self) -> None:
        self._leaks: list[str] = []
        for name in ("token_urlsafe", "token_hex"):
            setattr(secrets, name, _heard(getattr(secrets, name)))
        _watch_servers()
        _watch_deployments()
        _watch_pipes()
        prepare()  # otherwise the first import of the vCon library changes the session's logging
        logging.getLogger().addHandler(_FormattedLines())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What a test, and the processes it started, wrote to standard output and error."""
        for title, text in report.sections:
            if not title.startswith("Captured log"):  # those are not as the service writes them
                CANARIES.keep(f"{report.nodeid}, {title}", text)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """One of several processes that run the tests has ended."""
        self._leaks += getattr(node, "workeroutput", {}).get("leaks", [])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Search; the process that others run tests for judges."""
        self._leaks += CANARIES.found()
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["leaks"] = self._leaks
        elif self._leaks:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was found."""
        if self._leaks:
            terminalreporter.section("secrets in the log", red=True)
            for leak in sorted(set(self._leaks)):
                terminalreporter.write_line(leak)


class _FormattedLines(logging.Handler):
    """Keeps each line as the service would write it."""

    def emit(self, record: logging.LogRecord) -> None:
        if self.formatter is None:  # not before something is logged: imports take time
            from core.observability.logs import formatter

            self.setFormatter(formatter("json"))
        CANARIES.keep("lines logged by the test process", self.format(record))


def _heard(make: Callable[..., str]) -> Callable[..., str]:
    def made(*arguments: Any) -> str:
        secret = make(*arguments)
        return CANARIES.add(secret) if len(secret) >= SHORTEST_MADE else secret

    return made


def _watch_servers() -> None:
    from devstack.servers.process import KeptProcess

    end = KeptProcess._end

    def ended(self: KeptProcess, word: bytes) -> None:
        end(self, word)
        with contextlib.suppress(OSError):  # its folder is gone already
            CANARIES.keep(f"the log of {self.name}", self.log.read_text(errors="replace"))

    KeptProcess._end = ended


def _watch_deployments() -> None:
    from devstack.deployment import DATABASE, Deployment

    leave = Deployment.__aexit__

    async def left(self: Deployment, *error: Any) -> None:
        with contextlib.suppress(Exception):  # a server that a test has stopped is not asked
            await asyncio.to_thread(keep_redis, self.stack.valkey.url)
            await asyncio.to_thread(keep_postgres, self.stack.postgres.url(DATABASE))
        await leave(self, *error)

    Deployment.__aexit__ = left


def keep_redis(url: str) -> None:
    """Search what a Redis holds, too."""
    from tests.dumps import of_redis

    text = b"\n".join(value for _, value in of_redis(url))
    CANARIES.keep("what a test left in Redis", text.decode(errors="replace"))


def keep_postgres(url: str) -> None:
    """Search the rows of every table of a database, too, but that of the service's own secrets."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        keep_tables(connection)


def keep_tables(connection: Connection[Any]) -> None:
    """The same, over a connection that is open."""
    from tests.dumps import of_database

    pieces = of_database(connection, "service_secrets")
    for where, rows in itertools.groupby(pieces, key=itemgetter(0)):
        text = b"\n".join(value for _, value in rows)
        CANARIES.keep(f"the {where} of a test", text.decode(errors="replace"))


def _watch_pipes() -> None:
    """Standard error of processes that a test runs and reads to the end."""
    communicate, awaited = Popen.communicate, Process.communicate

    def heard(self: Popen[Any], *arguments: Any, **more: Any) -> tuple[Any, Any]:
        output, errors = communicate(self, *arguments, **more)
        _keep_errors(errors)
        return output, errors

    async def heard_awaited(self: Process, *arguments: Any) -> tuple[bytes, bytes]:
        output, errors = await awaited(self, *arguments)
        _keep_errors(errors)
        return output, errors

    Popen.communicate = heard
    Process.communicate = heard_awaited


def _keep_errors(errors: str | bytes | None) -> None:
    if errors:
        text = errors if isinstance(errors, str) else errors.decode(errors="replace")
        CANARIES.keep("standard error of a process", text)
