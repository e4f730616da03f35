"""`python entrypoint.py` runs the service; `--help` says what else there is."""

import contextlib
import sys
from collections.abc import Callable

from app.command_line import Command, read
from app.startup_signals import StoppedEarlyError, end_when_asked, no_longer


def main() -> int:
    """Do what the command line says; the exit code."""
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
    import asyncio  # noqa: PLC0415 -- these take half a second, in which a signal must count

    from app.cli import carry_out  # noqa: PLC0415

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):  # where there is no uvloop, asyncio's own does
        from uvloop import new_event_loop  # noqa: PLC0415
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(carry_out(command))


if __name__ == "__main__":
    sys.exit(main())
