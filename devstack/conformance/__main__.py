"""Try one plugin by all rules, against embedded servers, in a process of its own.

    python -m devstack.conformance links.tag
    python -m devstack.conformance my_package.my_storage --kind storage --options options.yml

The exit code is 0 if it keeps all rules, 1 if it breaks one, 2 if it cannot be checked, and 3 if it
breaks none, but the time ended before all were tried.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from devstack.conformance import report
from devstack.conformance.cases import KINDS, Case, CaseError, kind_of, read_case
from devstack.conformance.kit import MOST_SECONDS, Checked, Kit, Rule, check
from devstack.conformance.proxy import ToxicProxy
from devstack.conformance.rules import chosen
from devstack.conformance.subject import Subject, SubjectError, context, place_in
from devstack.errors import StackError
from devstack.servers.folders import temporary_folder
from devstack.servers.valkey import Valkey

MOST_GIVEN = 3600
"""Seconds that `--seconds` may give a check."""


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    given = _parser().parse_args(arguments)
    sys.path.insert(0, str(Path.cwd()))
    try:
        rules = [each for each in chosen(given.only) if each.quick or not given.quick]
        with _redis(given.redis_url) as url:
            case = _case(given, url)
            checked = list(checks(case, url, rules, given.seconds))
    except (CaseError, StackError) as error:
        print(f"devstack.conformance: {error}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(report.as_json(case, checked), indent=2))
    elif given.badge:
        print(report.badge(checked))
    else:
        report.print_table(case, checked)
    return report.exit_code(checked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devstack.conformance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("module", help="the plugin's module, as in the configuration")
    parser.add_argument("--options", type=Path, metavar="FILE", help="its options, YAML or JSON")
    parser.add_argument("--kind", choices=KINDS, help="found out if it is not given")
    parser.add_argument("--only", action="append", metavar="RULE", help="this rule; repeatable")
    parser.add_argument("--quick", action="store_true", help="without the rules that take long")
    parser.add_argument(
        "--seconds", type=_seconds, metavar="N", help=f"for all rules ({MOST_SECONDS:g})"
    )
    parser.add_argument("--redis-url", default="", metavar="URL", help="an empty Redis with JSON")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON instead of a table")
    output.add_argument("--badge", action="store_true", help="print JSON for a badge service")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= MOST_GIVEN:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {MOST_GIVEN}")
    return seconds


@contextmanager
def _redis(url: str) -> Iterator[str]:
    if url:
        yield url
        return
    with temporary_folder() as folder:
        server = Valkey.start(folder, durable=False)
        try:
            yield server.url
        finally:
            server.stop()


def _case(given: argparse.Namespace, redis_url: str) -> Case:
    kind = kind_of(given.module, given.kind)
    case = read_case(given.module, kind or "link", given.options)
    with Subject(context(), case, redis_url) as subject:
        try:
            if problem := subject.ask("unreadable"):
                raise CaseError(problem)
            kind = kind or subject.ask("kind")
        except SubjectError as error:
            raise CaseError(_unimportable(given.module, error)) from error
    return case if kind is None else read_case(given.module, kind, given.options)


def _unimportable(module: str, error: SubjectError) -> str:
    *_, line = str(error).strip().splitlines()
    place = place_in(module, error.frames)
    return f"{module} cannot be imported: {line}" + (f", at {place}" if place else "")


def checks(
    case: Case, redis_url: str, rules: Sequence[Rule], seconds: float | None = None
) -> Iterator[Checked]:
    """Try a plugin; the processes end with the last rule."""
    with ToxicProxy() as proxy:
        yield from check(Kit(case, context(), redis_url, proxy, seconds), rules)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
