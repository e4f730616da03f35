"""Runs one command of the operator: arguments, question, operation, output, exit code.

Exit codes: 0 done; 1 done, and the result is not well (`CliCommand.well`); 2 wrong arguments or
settings; 3 Redis, Postgres or a storage cannot be used now; 4 refused: an unknown name, an invalid
argument, a conflict; 5 not confirmed; 130 interrupted.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping
from typing import Any

from app.operator_cli.command import CliCommand, Followed
from app.operator_cli.output import Output
from app.operator_cli.session import author, session
from core.concurrency.thread_pool import in_own_thread
from core.errors import (
    ConfigurationError,
    InvalidError,
    PatchcordError,
    TooLateError,
    UnavailableError,
    UnusableKeyError,
)
from core.observability.logs import configure_logging, keep_secret
from core.operator_interfaces import Call, OperatorApi
from core.settings import OperatorProcessSettings, load_settings

EXIT_DONE, EXIT_NOT_WELL, EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_REFUSED, EXIT_NOT_CONFIRMED = range(6)
EXIT_INTERRUPTED = 130
WATCH_SECONDS = 2.0


async def run(command: CliCommand, words: argparse.Namespace) -> int:
    """Run a command and return the exit code; errors are written to standard error."""
    configure_logging("WARNING", "auto")
    output = Output(as_json=words.as_json)
    try:
        settings = load_settings(OperatorProcessSettings)
        keep_secret(*settings.secrets)
        arguments = command.arguments(words)
        reason = await _confirmed(command, words)
        if reason is None:
            output.failed("not confirmed: nothing was changed", "not confirmed")
            return EXIT_NOT_CONFIRMED
        async with session(settings) as api:
            call = Call(author(), reason, output.progress)
            if getattr(words, "watch", False):
                return await _watch(api, command, arguments, call, output)
            if command.follow is not None:
                return await _follow(api, command, arguments, call, output, command.follow(words))
            result = await api.perform(command.operation, arguments, call)
            output.result(result, command.render(result))
            return EXIT_DONE if command.well(result) else EXIT_NOT_WELL
    except asyncio.CancelledError:  # SIGINT; the servers' connections are closed
        return EXIT_INTERRUPTED
    except PatchcordError as error:
        output.failed(str(error), type(error).__name__.removesuffix("Error").lower())
        return _exit_code(error)


async def _watch(
    api: OperatorApi, command: CliCommand, arguments: object, call: Call, output: Output
) -> int:
    while True:
        result = await api.perform(command.operation, arguments, call)  # type: ignore[arg-type]
        output.clear()
        output.result(result, command.render(result))
        await asyncio.sleep(WATCH_SECONDS)


async def _follow(
    api: OperatorApi,
    command: CliCommand,
    arguments: Mapping[str, Any],
    call: Call,
    output: Output,
    take: Callable[[Any], Followed],
) -> int:
    while True:
        followed = take(await api.perform(command.operation, arguments, call))
        output.added(followed.items, followed.shown)
        if followed.arguments is None:
            return EXIT_DONE
        arguments = followed.arguments
        await asyncio.sleep(0 if followed.at_once else WATCH_SECONDS)


async def _confirmed(command: CliCommand, words: argparse.Namespace) -> str | None:
    """The reason; None if the operator does not confirm. "" where nothing changes."""
    if not command.changes or getattr(words, "dry_run", False):
        return ""
    reason: str = words.reason or ""
    if words.yes:
        return reason
    if not sys.stdin.isatty():
        msg = "this changes something: confirm with --yes, and say why with --reason TEXT"
        raise ConfigurationError(msg)
    question = command.question(words) or f"{command.name}: do it?"
    if not reason:
        entered = await _entered("reason (kept in the audit): ")
        if entered is None:
            return None
        reason = entered
    answer = await _entered(f"{question} [y/N] ") or ""
    return reason if answer.strip().lower() in ("y", "yes") else None


async def _entered(question: str) -> str | None:
    """What the operator enters; None at the end of the input (Ctrl-D)."""
    try:
        return await in_own_thread(input, question)
    except EOFError:
        sys.stdout.write("\n")
        return None
    except UnicodeDecodeError:
        raise InvalidError("what was entered is no text in the encoding of this terminal") from None


def _exit_code(error: PatchcordError) -> int:
    if isinstance(error, ConfigurationError):
        return EXIT_USAGE
    if isinstance(error, UnavailableError | UnusableKeyError | TooLateError):
        return EXIT_UNAVAILABLE
    return EXIT_REFUSED
