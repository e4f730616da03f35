"""A server of the HTTP benchmark on one core: the HTTP API of the service, or an ASGI application.

Run as a program: `python -m benchmarks.http.server CORE PORT patchcord|MODULE:ATTRIBUTE`. With
`PROFILE_TO=FILE` it leaves a profile there when it is stopped.
"""

import cProfile
import os
import sys

import uvicorn

from benchmarks.http.names import OURS


def serve(port: int, which: str) -> int:
    """Serve until stopped; returns the exit code."""
    if which == OURS:
        import entrypoint  # noqa: PLC0415 -- not in the processes of the floors

        os.environ["API_PORT"] = str(port)
        sys.argv[1:] = ["api"]
        return entrypoint.main()
    uvicorn.run(
        which, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False
    )
    return 0


def main() -> int:
    """Serve until stopped, with a profile if one is asked for."""
    core, port, which = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    target = os.environ.get("PROFILE_TO")
    if target is None:
        return serve(int(port), which)
    with cProfile.Profile() as profile:
        code = serve(int(port), which)
    profile.dump_stats(target)
    return code


if __name__ == "__main__":
    sys.exit(main())
