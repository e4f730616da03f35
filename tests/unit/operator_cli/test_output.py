"""Results that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from app.operator_cli.output import Output
from core.errors import UnavailableError
from schemas.operator.audit import AuditPage
try:
    Output(as_json=sys.argv[1] == "json").result(AuditPage(events=[]), ["a line"])
except UnavailableError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_full_disk_is_told(form: str) -> None:
    """In one line, not with a traceback: neither then nor at the exit."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 -- a device
        ran = _run(form, full)
    said = "standard output cannot be written: No space left on device"
    assert (ran.returncode, ran.stderr.strip()) == (3, said)


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_reader_that_has_ended_is_no_error(form: str) -> None:
    """Such as `head`."""
    reading, writing = os.pipe()
    os.close(reading)
    ran = _run(form, writing)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (1, "")


def _run(form: str, output: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", PROGRAM, form]
    return subprocess.run(words, stdout=output, stderr=subprocess.PIPE, text=True, check=False)  # type: ignore[call-overload,no-any-return]
