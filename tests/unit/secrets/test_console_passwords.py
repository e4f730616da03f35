"""The passwords that open the console, and the files with more of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from core.errors import ConfigurationError
from core.secrets.console_passwords import ConsolePasswords, console_passwords, secret_passwords
from core.setting_groups.console import ConsoleSettings

LONG, OTHER = "a-password-of-some", "another-password-of"


def settings(**given: Any) -> ConsoleSettings:
    """Settings of the console."""
    return ConsoleSettings(**given)


def test_passwords_of_settings_and_files(tmp_path: Path) -> None:
    """One in a setting, more in a file; each for one role."""
    (file := tmp_path / "passwords").write_text(f"\n{OTHER}\n  \n")
    given = settings(console_password=LONG, console_read_password_file=file)
    assert console_passwords(given) == ConsolePasswords(frozenset({LONG}), frozenset({OTHER}))
    assert set(secret_passwords(given)) == {LONG, OTHER}
    for nothing in (settings(), settings(console_password=SecretStr(""))):
        assert console_passwords(nothing) == ConsolePasswords()


@pytest.mark.parametrize("password", ["x" * 11, "x" * 20 + "\n", "x" * 20 + "\0"])
def test_short_passwords_and_those_of_several_lines(password: str) -> None:
    """No start with one; the error does not repeat it."""
    for name in ("console_password", "console_read_password"):
        with pytest.raises(ValidationError, match="one line of 12 characters or more"):
            settings(**{name: SecretStr(password)})


def test_a_short_password_in_a_file(tmp_path: Path) -> None:
    """As in a setting."""
    (file := tmp_path / "passwords").write_text(f"{LONG}\nshort\n")
    with pytest.raises(ConfigurationError, match="fewer than 12 characters"):
        console_passwords(settings(console_password_file=file))


def test_one_password_for_both_roles() -> None:
    """It would not be known which role it opens."""
    given = settings(console_password=LONG, console_read_password=LONG)
    with pytest.raises(ConfigurationError, match="for both roles") as raised:
        console_passwords(given)
    assert LONG not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The start names it; log lines are redacted by the other password."""
    given = settings(console_password=LONG, console_password_file=tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match=r"CONSOLE_PASSWORD_FILE: .*No such file"):
        console_passwords(given)
    assert list(secret_passwords(given)) == [LONG]
