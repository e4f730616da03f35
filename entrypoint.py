"""Starts the service: settings, logging, run. `python entrypoint.py`.

The service starts its workers with `python entrypoint.py worker ID`.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable

from core.bootstrap import EXIT_CONFIGURATION, serve
from core.bootstrap_worker import work
from core.errors import ConfigurationError
from core.logs import configure_logging, keep_secret
from core.settings import load_settings

new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
with contextlib.suppress(ImportError):  # where there is no uvloop, asyncio's own does
    from uvloop import new_event_loop


def main() -> int:
    """Serve until stopped; the exit code."""
    try:
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format)
        keep_secret(*settings.secrets)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            match sys.argv[1:]:
                case ["worker", worker_id]:
                    return runner.run(work(settings, worker_id))
                case _:
                    return runner.run(serve(settings))
    except ConfigurationError as error:
        print("Cannot start:", *error.problems, sep="\n  ", file=sys.stderr)  # noqa: T201 -- logging may not be set up
        return EXIT_CONFIGURATION


if __name__ == "__main__":
    sys.exit(main())
