"""`python entrypoint.py` runs the service; `--help` lists the other commands."""

import contextlib
import sys
from collections.abc import Callable

from app.command_line import Command, read
from app.startup_signals import StoppedEarlyError, end_when_asked, no_longer


def main() -> int:
    """Run the command of the command line and return the exit code."""
    command = read(sys.argv[1:])
    if command.stays:
        end_when_asked()
    try:
        return _run(command)
    except StoppedEarlyError:
        return 0
    finally:
        no_longer()


def _run(command: Command) -> int:
    import asyncio  # noqa: PLC0415 -- these imports take 0.5 s, in which signals are handled

    from app.cli import carry_out  # noqa: PLC0415

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):  # without uvloop, asyncio's own loop is used
        from uvloop import new_event_loop  # noqa: PLC0415
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(carry_out(command))


if __name__ == "__main__":
    sys.exit(main())
