"""The command line, and its exit codes.

0: done; 1: something is unknown, missing or failed; 2: wrong usage.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from flowlang.cli import plugins
from flowlang.cli import run as cli_run
from flowlang.cli import scaffold as cli_scaffold
from flowlang.exceptions import FlowLangError

type Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command."""
    parser = argparse.ArgumentParser(prog="flowlang", description="Flows and their connections.")
    areas = parser.add_subparsers(required=True, metavar="COMMAND")
    connection = areas.add_parser("connection", help="connection plugins")
    commands = connection.add_subparsers(required=True, metavar="COMMAND")
    _about_plugins(commands)
    _about_files(commands)
    _about_running(areas, commands)
    given = parser.parse_args(arguments)
    try:
        return int(given.command(given))
    except (FlowLangError, OSError) as error:
        print(error, file=sys.stderr)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    return 1


type Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def _about_plugins(commands: Commands) -> None:
    every = _command(commands, "list", plugins.list_plugins, "every plugin there is")
    every.add_argument("--format", choices=["text", "json"], default="text")
    info = _of_plugin(commands, "info", plugins.info, "what a plugin is and takes")
    info.add_argument("--json", action="store_true", help="for programs")
    deps = _of_plugin(commands, "deps", plugins.deps, "what a plugin needs")
    deps.add_argument("--check", action="store_true", help="look whether it is installed")
    install = _of_plugin(commands, "install", plugins.install, "install what it needs")
    install.add_argument("--dry-run", action="store_true", help="show the command only")


def _about_files(commands: Commands) -> None:
    scaffold = _of_plugin(commands, "scaffold", cli_scaffold.scaffold, "a connection in YAML")
    scaffold.add_argument("--name", "-n", help="the connection's name")
    scaffold.add_argument("--output", "-o", metavar="FILE", help="write it there")
    for name, does, about in (
        ("helpers", cli_scaffold.helpers, "write Python helpers"),
        ("example", cli_scaffold.example, "write an example flow"),
    ):
        command = _of_plugin(commands, name, does, about)
        command.add_argument("--output", "-o", metavar="FOLDER", default=".")
        command.add_argument("--connection", help="the connection's name")
    new = _command(commands, "new", cli_scaffold.new, "write a plugin of your own")
    new.add_argument("name")
    new.add_argument("--output", "-o", metavar="FOLDER", default=".")


def _about_running(areas: Commands, commands: Commands) -> None:
    test = _command(commands, "test", cli_run.test, "open a configured connection")
    test.add_argument("name")
    test.add_argument("--config", metavar="FILE", default="config.yml", help="or a flow")
    run = _command(areas, "run", cli_run.run, "run a flow and print its result")
    run.add_argument("flow", metavar="FILE")
    run.add_argument("--inputs", metavar="JSON", default="{}", help="all inputs at once")
    run.add_argument("--config", metavar="FILE", help="connections that the flow may use")
    run.add_argument("--input", metavar="NAME=VALUE", action="append", default=[])


def _of_plugin(commands: Commands, name: str, does: Command, about: str) -> argparse.ArgumentParser:
    command = _command(commands, name, does, about)
    command.add_argument("plugin")
    return command


def _command(commands: Commands, name: str, does: Command, about: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=about, description=about)
    command.set_defaults(command=does)
    return command
