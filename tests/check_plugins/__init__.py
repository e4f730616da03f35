"""`python -m tests.check_plugins`: every built-in plugin, or those named, by the conformance kit.

With `--only RULE` by these rules only. The exit code is 0 if each keeps all rules.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from devstack.conformance import report
from devstack.conformance.cases import Case, case_of, kind_of
from devstack.conformance.kit import Checked, Kit, Rule, check
from devstack.conformance.proxy import ToxicProxy
from devstack.conformance.rules import chosen
from devstack.conformance.subject import context
from devstack.servers.folders import temporary_folder
from devstack.servers.postgres import Postgres
from devstack.servers.valkey import Valkey
from tests.integration.support.built_in_cases import CASES, Counterparts

SECONDS = 600.0
"""For all rules of a plugin: on a busy machine none is left out."""
LAZY = ("anyio._backends._asyncio", "httpcore")
"""What libraries import with a call only, again in each process of a plugin."""
AT_ONCE = 2
"""Plugins that are tried beside each other, each in a database of Redis of its own."""


@contextmanager
def servers() -> Iterator[tuple[str, Counterparts]]:
    """An empty Redis, and what starts the counterparts of plugins."""
    with ExitStack() as running:
        folder = running.enter_context(temporary_folder())
        valkey = Valkey.start(folder / "valkey", durable=False)
        running.callback(valkey.stop)
        started: list[Postgres] = []

        def postgres() -> Postgres:
            if not started:
                started.append(Postgres.start(folder / "postgres", fsync=False))
                running.callback(started[0].stop)
            return started[0]

        (folder / "plugins").mkdir()
        parts = Counterparts(folder / "plugins", postgres)
        running.callback(parts.close)
        yield valkey.url, parts


def case(module: str, parts: Counterparts) -> Case:
    """A built-in plugin with its counterparts running."""
    kind = kind_of(module, None)
    assert kind is not None
    return case_of(module, kind, {"options": {}, **CASES[module](parts)})


def tried(
    modules: Sequence[str], rules: Sequence[Rule], redis_url: str, parts: Counterparts
) -> Iterator[tuple[Case, list[Checked]]]:
    """Try plugins, `AT_ONCE` beside each other; in the order of `modules`."""
    starter, root = context([*modules, *LAZY]), redis_url.rpartition("/")[0]
    cases = [case(module, parts) for module in modules]

    def one(number: int) -> list[Checked]:
        with ToxicProxy() as proxy:
            kit = Kit(cases[number], starter, f"{root}/{number % 16}", proxy, SECONDS)
            return list(check(kit, rules))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from zip(cases, pool.map(one, range(len(cases))), strict=True)


def main(arguments: Sequence[str]) -> int:
    """Print a table for each plugin that breaks a rule, and a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.check_plugins", description=__doc__)
    parser.add_argument("modules", nargs="*", default=sorted(CASES))
    parser.add_argument("--only", action="append", metavar="RULE")
    given = parser.parse_args(arguments)
    sound = True
    with servers() as (url, parts):
        for plugin, checked in tried(given.modules, chosen(given.only), url, parts):
            sound = sound and report.is_conformant(checked)
            if report.is_conformant(checked) and len(given.modules) > 1:
                sys.stdout.write(f"{report.summary(plugin, checked)}\n")
                sys.stdout.flush()
            else:
                report.print_table(plugin, checked)
    return 0 if sound else 1
