"""All commands of the operator, and the parsers of their words."""

import argparse
from collections.abc import Sequence
from typing import Any

from app.operator_cli.command import CliCommand
from app.operator_cli.commands import (
    audit,
    backup,
    bases,
    chains,
    configuration,
    destinations,
    failures,
    keys,
    partners,
    people,
    recover,
    running,
    slow,
    status,
    tail,
    withheld,
)
from app.operator_cli.commands.law import erasures, ledger, verification

COMMANDS: Sequence[CliCommand] = [
    *status.COMMANDS,
    *slow.COMMANDS,
    *partners.COMMANDS,
    *running.COMMANDS,
    *tail.COMMANDS,
    *audit.COMMANDS,
    *backup.COMMANDS,
    *recover.COMMANDS,
    *chains.COMMANDS,
    *destinations.COMMANDS,
    *configuration.COMMANDS,
    *failures.COMMANDS,
    *withheld.COMMANDS,
    *verification.COMMANDS,
    *people.COMMANDS,
    *bases.COMMANDS,
    *erasures.COMMANDS,
    *keys.COMMANDS,
    *ledger.COMMANDS,
]

GROUPS = {
    "basis": "record grants and denials for a vCon or a person, or show those recorded",
    "config": "show the running configuration, or what another one would change",
    "erasure": "erase under the law, and show how far erasures are",
    "ledger": "show where vCons went, and check that the record of it was not changed",
    "keys": "show, create, replace and revoke the keys of partners",
}
"""`--help` of the first word of commands of two words."""


def add_operator_commands(commands: Any) -> None:
    """Add every command to the subparsers `commands`; those of two words get parsers in between."""
    groups: dict[str, Any] = {}
    for command in COMMANDS:
        *before, last = command.words
        parent = commands
        if before:
            [first] = before
            if first not in groups:
                group = commands.add_parser(first, help=GROUPS[first])
                groups[first] = group.add_subparsers(
                    title="commands", metavar="COMMAND", required=True
                )
            parent = groups[first]
        _add(parent, last, command)


def _add(parent: Any, word: str, command: CliCommand) -> None:
    parser: argparse.ArgumentParser = parent.add_parser(
        word,
        help=command.summary,
        description=f"{command.summary[:1].upper()}{command.summary[1:]}.",
        epilog=f"example:\n  python entrypoint.py {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", dest="as_json", help="print the result as JSON"
    )
    if command.can_watch:
        parser.add_argument("--watch", action="store_true", help="repeat until interrupted")
    if command.changes:
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
        parser.add_argument("--reason", metavar="TEXT", help="why it is done; kept in the audit")
    parser.set_defaults(operator=command)
