"""What the plugins have in common: the ledger they write, and what a subject makes them do."""

import os
import random
import re
import time
from pathlib import Path
from typing import Any

LEDGER = "ledger"
GATE = "gate"
CALLED = "called"
"""The chain's first link was called; it has not read the vCon yet. `began`: it has."""
POLL_SECONDS = 0.01
LATIN_1 = b"caf\xe9.wav"
DYING_SECONDS = 0.3
"""Long enough for others to start beside the one that kills the process."""


def note(folder: str, what: str, name: str, vcon_uuid: str) -> None:
    """Append one line to the ledger atomically; several processes may write concurrently."""
    line = f"{what} {name} {vcon_uuid} {os.getpid()}\n".encode()
    ledger = os.open(Path(folder) / LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, line)  # one write: a process killed now leaves all of it or nothing
    finally:
        os.close(ledger)


def some_time(opts: dict[str, Any]) -> float:
    """Seconds, at most as many as the options say."""
    return random.uniform(0, opts["seconds"])  # noqa: S311 -- spreads work, guards nothing


class PanicException(BaseException):
    """What a Rust extension raises when it panics."""


ERRORS: dict[str, BaseException] = {
    "fail": RuntimeError("this vCon fails"),
    "panic": PanicException("called `Option::unwrap()` on a `None` value"),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "half a surrogate": ValueError(f"no recording called {os.fsdecode(LATIN_1)}"),
}
"""What is raised for a vCon with this subject."""


def suffer(subject: str, folder: str) -> None:
    """Do what this vCon does to the plugin that works on it.

    Raises:
        BaseException: for one that fails, as its subject says.
    """
    if subject in ERRORS:
        raise ERRORS[subject]
    match subject:
        case "die":
            time.sleep(DYING_SECONDS)
            os._exit(9)
        case "grip":
            re.match("(a+)+$", "a" * 60 + "b")  # holds the interpreter's lock for years
        case "hold":
            while (Path(folder) / GATE).exists():
                time.sleep(POLL_SECONDS)


def present[Document](document: Document | None, vcon_uuid: str) -> Document:
    """The document.

    Raises:
        LookupError: if the vCon is not in Redis: it has expired or was lost.
    """
    if document is None:
        msg = f"vCon {vcon_uuid} is gone"
        raise LookupError(msg)
    return document
