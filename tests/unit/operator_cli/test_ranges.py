"""Numbers out of range are refused where the words are read, by the option's name."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

import pytest

from app.command_line import read
from app.operator_cli.table import COMMANDS

LARGE = {"TIME": "9999999w", "N": "999999999999", "HOURS": "1e9", "ROW": "9" * 19}


def numbers() -> Iterator[tuple[str, str, str]]:
    """The example of each command, with each option for a number and one far too large."""
    for command in COMMANDS:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        for action in parser._actions:
            if action.metavar in LARGE and action.dest != "before":
                yield command.example, action.option_strings[0], LARGE[str(action.metavar)]


@pytest.mark.parametrize(("example", "option", "word"), list(numbers()))
def test_too_large(
    example: str, option: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and the option and the word are named."""
    refused(f"{example} {option} {word}", capsys, f"argument {option}: '{word}' is ")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("slow --since 9999999w", "'9999999w' is out of range: give at least 1m and at most 1h"),
        ("slow --since 61m", "at most 1h"),
        ("slow --since 0s", "at least 1m"),
        ("pause main --for 53w", "--for: '53w' is out of range: give at least 1s and at most"),
        ("slow --limit 0", "--limit: '0' is not a whole number, 1 or more"),
        ("replay --cause x --rate nan", "--rate: 'nan' is out of range: give at least 0.1 and at"),
        ("replay --cause x --rate 0.01/s", "at least 0.1 and at most 100,000"),
        ("replay --cause x --canary x", "invalid int value"),
        (
            "keys create --list a --label b --days 0",
            "--days: '0' is out of range: give more than 0",
        ),
        ("keys create --list a --label b --days nan", "--days: 'nan' is out of range"),
        ("keys create --list a --label b --days -1", "--days: '-1' is out of range"),
        ("replay --cause x --rate 0", "--rate: '0' is out of range"),
        ("replay --list in --canary -1", "--canary: '-1' is out of range"),
    ],
)
def test_the_refusal(line: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what the bounds are."""
    refused(line, capsys, told)


@pytest.mark.parametrize("line", ["slow --since 1h", "slow --since 30s", "slow --limit 1000"])
def test_the_bounds_are_taken(line: str) -> None:
    """And what is rounded up to them."""
    read(shlex.split(line))


def refused(line: str, capsys: pytest.CaptureFixture[str], told: str) -> None:
    """The line ends the process with code 2, and this text."""
    with pytest.raises(SystemExit) as ended:
        read(shlex.split(line))
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
