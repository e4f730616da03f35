"""The commands and options of `python entrypoint.py`."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.operator_cli.command import CliCommand

MOST_KEYS = 1_000_000


class Command(argparse.Namespace):
    """A parsed command with its options."""

    name: str
    worker_id: str
    suspects: bool
    as_json: bool
    fingerprint: bool
    vcon_server: bool
    keys: int
    workers: int
    file: str
    anchors: list[str]
    operator: "CliCommand | None" = None
    """The operator's command, if it is one."""

    @property
    def stays(self) -> bool:
        """Whether it runs until it is stopped."""
        return self.name in ("serve", "api", "worker")


def read(arguments: Sequence[str]) -> Command:
    """Parse the arguments; the default command is `serve`.

    Raises:
        SystemExit: after `--help`, or for arguments that are not valid.
    """
    parser = argparse.ArgumentParser(
        prog="entrypoint.py", description="A Plugboard service that runs vCons through chains."
    )
    parser.set_defaults(name="serve")
    commands = parser.add_subparsers(title="commands", dest="name", metavar="COMMAND")
    commands.add_parser("serve", help="run the service (the default)")
    api = commands.add_parser("api", help="serve the HTTP API; needs no Plugboard")
    api.add_argument(
        "--workers", type=_count, default=0, metavar="N", help="also run chains in N processes"
    )
    check = commands.add_parser(
        "check", help="check settings, configuration and servers; exit code 0 or 1"
    )
    actions = commands.add_parser("actions", help="show what is published to the Plugboard")
    for each in (check, actions):
        each.add_argument("--json", action="store_true", dest="as_json", help="for programs")
    actions.add_argument(
        "--fingerprint", action="store_true", help="only a hash, the same for the same actions"
    )
    _add_checklist(check)
    worker = commands.add_parser("worker", help="run chains; the service starts these itself")
    worker.add_argument(
        "--suspects", action="store_true", help="only vCons that may have killed a worker"
    )
    worker.add_argument("worker_id", metavar="ID")
    _add_verification(commands)
    if arguments and arguments[0] not in _OWN:
        _add_operator_commands(commands)
    command = parser.parse_args(arguments, Command())
    command.name = command.name or "serve"
    return command


_OWN = ("serve", "api", "worker", "check", "actions", "verify-statement")


def _add_operator_commands(commands: Any) -> None:
    # their imports take 0.2 s, which the start of a worker does not need
    from app.operator_cli.table import add_operator_commands  # noqa: PLC0415

    add_operator_commands(commands)


def _add_verification(commands: Any) -> None:
    verify = commands.add_parser(
        "verify-statement",
        help="whether a statement about an erasure is genuine, and what it says; exit code 0 or 1",
    )
    verify.add_argument("file", metavar="FILE", help="the statement; - reads standard input")
    verify.add_argument(
        "--anchors",
        action="append",
        default=[],
        metavar="FILE",
        help="certificates or public keys in PEM that are trusted; may be repeated; without it"
        " those of the configuration",
    )
    verify.add_argument("--json", action="store_true", dest="as_json", help="for programs")


def _add_checklist(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "--vcon-server",
        action="store_true",
        help="what will differ for this installation of vcon-server; changes nothing",
    )
    check.add_argument(
        "--keys",
        type=_count,
        default=MOST_KEYS,
        metavar="N",
        help="with --vcon-server: keys of Redis to read at most; 0: all (default: %(default)s)",
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        msg = f"{text!r} is not a whole number, 0 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
