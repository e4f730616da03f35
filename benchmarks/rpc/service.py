"""The real service with additional actions for the benchmark, on one core.

Run as a program: `python -m benchmarks.rpc.service CORE`; its settings come from the environment.
With `PROFILE_TO=FILE` it leaves a profile there when it is stopped.
"""

import cProfile
import os
import sys
from pathlib import Path

import actions
import entrypoint

ACTIONS = Path(__file__).parent / "actions"


def main() -> int:
    """Serve until stopped."""
    core = int(sys.argv.pop())
    os.sched_setaffinity(0, {core})
    actions.__path__.append(str(ACTIONS))
    target = os.environ.get("PROFILE_TO")
    if target is None:
        return entrypoint.main()
    with cProfile.Profile() as profile:
        code = entrypoint.main()
    profile.dump_stats(target)
    return code


if __name__ == "__main__":
    sys.exit(main())
