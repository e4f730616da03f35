"""The environment of this process: the only file, with `flowlang`'s own, that reads `os.environ`.

`core.settings` checks the variables that are settings, through pydantic-settings.
"""

import os
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from core.errors import ConfigurationError

_withheld: dict[str, str] = {}


def environment() -> dict[str, str]:
    """All variables, withheld ones included; they replace `${NAME}` in the configuration file."""
    return {**os.environ, **_withheld}


def inherited_environment() -> dict[str, str]:
    """The variables visible to plugins and child processes of this process."""
    return dict(os.environ)


def withhold(names: Iterable[str]) -> None:
    """Remove variables from this process's environment; `environment` still returns them."""
    _withheld.update({name: os.environ.pop(name) for name in names if name in os.environ})


def withheld() -> frozenset[str]:
    """The names of the withheld variables."""
    return frozenset(_withheld)


def give_back(names: Iterable[str]) -> None:
    """Restore withheld variables, because the configuration refers to them."""
    os.environ.update({name: _withheld.pop(name) for name in names if name in _withheld})


def read_env_file() -> None:
    """Set the variables of the file `.env` in the working directory that are unset.

    `ENV_FILE` names another file; if it is empty, none is read. Call before `load_settings`.

    Raises:
        ConfigurationError: the file cannot be read, or the one of `ENV_FILE` does not exist.
    """
    name = os.environ.get("ENV_FILE")
    file = Path(name or ".env")
    if name == "" or (name is None and not file.is_file()):
        return
    try:
        values = dotenv_values(stream=StringIO(file.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{'ENV_FILE' if name else '.env'}: cannot be read: {error}"
        raise ConfigurationError(msg) from None
    for variable, value in values.items():
        os.environ.setdefault(variable, value or "")
