"""Carries out the command of `app.command_line`.

Each command imports its parts when it runs: a worker needs no SQL and no migrations, which halves
the time until a worker that replaces a dead one claims its first run.
"""

import contextlib
import ctypes
import gc
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import orjson
from pydantic import SecretStr

from app.command_line import Command
from app.misspelt_settings import warn_of_misspelt
from app.operator_cli.command import CliCommand
from core.environment import environment, read_env_file, withhold
from core.errors import ConfigurationError
from core.observability.logs import configure_logging, keep_secret, without_secrets
from core.secrets.handed import received
from core.settings import (
    ApiProcessSettings,
    ServiceSettings,
    Settings,
    WorkerProcessSettings,
    load_settings,
)

EXIT_WELL, EXIT_NOT_WELL, EXIT_CONFIGURATION = 0, 1, 2
_NEEDED: Mapping[str, type[Settings]] = {
    "api": ApiProcessSettings,
    "worker": WorkerProcessSettings,
}
"""The settings that a command needs, where these are not those of the service."""
_PR_SET_DUMPABLE = 4


def disable_core_dumps() -> None:
    """Write no memory of this process or its children, and so no secrets, to the disk.

    The limit is for files. The kernel passes a dump to a program (`core_pattern`) regardless of the
    limit, except for a process that is not dumpable; other processes of the same user cannot read
    the environment and the memory of such a process either.
    """
    with contextlib.suppress(ValueError, OSError):  # the system forbids a lower limit
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(AttributeError, OSError):  # systems without prctl
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


async def carry_out(command: Command) -> int:
    """Run the command to its end and return the exit code."""
    try:
        read_env_file()
        if command.operator is not None:
            return await _operate(command.operator, command)
        if command.name in ("check", "verify-statement"):  # most settings are not needed
            return await _check(command) if command.name == "check" else _verify(command)
        settings = load_settings(_NEEDED.get(command.name, ServiceSettings))
        keep_secret(*settings.secrets)
        if command.name == "actions":
            return _show_actions(settings, command)
        configure_logging(settings.log_level, settings.log_format)
        if not settings.core_dumps:
            disable_core_dumps()
        if command.name == "worker":  # the service has removed secrets from its environment
            return await _work(settings, command)
        withhold(settings.withheld)
        warn_of_misspelt(environment())
        return await _serve(settings, command)
    except ConfigurationError as error:
        lines = "".join(f"  {without_secrets(problem)}\n" for problem in error.problems)
        sys.stderr.write(f"Cannot start:\n{lines}")  # logging may not be configured yet
        return EXIT_CONFIGURATION


@contextmanager
def _permanent_objects() -> Iterator[None]:
    """Exclude the objects made inside, mostly of imports, from garbage collection for good."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


async def _serve(settings: Settings, command: Command) -> int:
    if command.name == "api":
        with _permanent_objects():
            from app.bootstrap_api import serve_api
        return await serve_api(settings, command.workers)
    with _permanent_objects():
        from app.bootstrap import serve
    return await serve(settings)


async def _work(settings: Settings, command: Command) -> int:
    if (descriptor := settings.postgres_password_fd) is not None:
        password = SecretStr(received(descriptor))
        settings = settings.model_copy(update={"postgres_password": password})
        keep_secret(*settings.secrets)
    with _permanent_objects():
        from app.bootstrap_worker import work
    return await work(settings, command.worker_id, for_suspects=command.suspects)


async def _operate(operator: CliCommand, command: Command) -> int:
    from app.operator_cli.run import run

    return await run(operator, command)


async def _check(command: Command) -> int:
    if command.vcon_server:
        return await _check_move(command)
    from app.preflight import all_well, as_json, as_table, check_up

    configure_logging("WARNING", "auto")  # to standard error; the table goes to standard output
    findings = await check_up()
    sys.stdout.write((as_json if command.as_json else as_table)(findings, without_secrets))
    return EXIT_WELL if all_well(findings) else EXIT_NOT_WELL


async def _check_move(command: Command) -> int:
    from app.vcon_server.checklist import progress, worked_off
    from app.vcon_server.findings import as_json, as_text, may_move

    configure_logging("WARNING", "auto")
    findings = await worked_off(most=command.keys, progress=progress)
    sys.stdout.write((as_json if command.as_json else as_text)(findings, without_secrets))
    return EXIT_WELL if may_move(findings) else EXIT_NOT_WELL


def _verify(command: Command) -> int:
    from app.operator_cli.verify_statement import verify

    return verify(command.file, command.anchors, as_json=command.as_json)


def _show_actions(settings: Settings, command: Command) -> int:
    from app.published_actions import published

    told = published(settings)
    if command.fingerprint and not command.as_json:
        text = f"{told.fingerprint}\n"
    elif command.fingerprint:
        text = _json({"fingerprint": told.fingerprint})
    elif command.as_json:
        text = _json(told._asdict() | {"fits": told.fits})
    else:
        text = f"{_json(told.actions)}\n{told.summary}\n"
    sys.stdout.write(text)
    return EXIT_WELL if told.fits else EXIT_NOT_WELL


def _json(told: object) -> str:
    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() + "\n"
