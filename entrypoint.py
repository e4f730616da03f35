"""`python entrypoint.py` runs the service; `--help` says what else there is."""

import asyncio
import contextlib
import sys
from collections.abc import Callable

from core.command_line import read
from core.commands import carry_out

new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
with contextlib.suppress(ImportError):  # where there is no uvloop, asyncio's own does
    from uvloop import new_event_loop


def main() -> int:
    """Do what the command line says; the exit code."""
    command = read(sys.argv[1:])
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(carry_out(command))


if __name__ == "__main__":
    sys.exit(main())
