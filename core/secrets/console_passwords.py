"""The passwords that open the console, and what each role may do there."""

from collections.abc import Iterator
from typing import NamedTuple

from core.errors import ConfigurationError
from core.secrets.files import secret_lines
from core.setting_groups.console import SHORTEST_PASSWORD, ConsoleSettings


class ConsolePasswords(NamedTuple):
    """The passwords by role."""

    operators: frozenset[str] = frozenset()
    readers: frozenset[str] = frozenset()


def console_passwords(settings: ConsoleSettings) -> ConsolePasswords:
    """Read the passwords of CONSOLE_PASSWORD, CONSOLE_READ_PASSWORD and their files.

    Raises:
        ConfigurationError: a file cannot be used, a password is short, or one is for both roles.
    """
    found = ConsolePasswords(_operators(settings), _readers(settings))
    if min(map(len, found.operators | found.readers), default=SHORTEST_PASSWORD) < (
        SHORTEST_PASSWORD
    ):
        msg = f"a password of the console has fewer than {SHORTEST_PASSWORD} characters"
        raise ConfigurationError([f"CONSOLE_PASSWORD, CONSOLE_READ_PASSWORD: {msg}"])
    if found.operators & found.readers:
        msg = "one password is for both roles; readers need another one than operators"
        raise ConfigurationError([f"CONSOLE_READ_PASSWORD: {msg}"])
    return found


def _operators(settings: ConsoleSettings) -> frozenset[str]:
    password, file = settings.console_password, settings.console_password_file
    own = [password.get_secret_value()] if password else []
    read = secret_lines("CONSOLE_PASSWORD_FILE", file, "password") if file else []
    return frozenset([*own, *read])


def _readers(settings: ConsoleSettings) -> frozenset[str]:
    password, file = settings.console_read_password, settings.console_read_password_file
    own = [password.get_secret_value()] if password else []
    read = secret_lines("CONSOLE_READ_PASSWORD_FILE", file, "password") if file else []
    return frozenset([*own, *read])


def secret_passwords(settings: ConsoleSettings) -> Iterator[str]:
    """The passwords that can be read, for the redactor of log lines."""
    for password in (settings.console_password, settings.console_read_password):
        if password:
            yield password.get_secret_value()
    for read in (_operators, _readers):
        try:
            yield from read(settings)
        except ConfigurationError:
            continue  # the start of a process with a console reports it
