"""The helper that `core.helper_process` starts as a script, with the number of its socket.

The first message is a JSON object with `path` (for imports) and the limits `memory` (bytes) and
`seconds`. Each further message is a pickled call, answered by a pickled pair: whether the function
has returned, and what it has returned or raised.
"""

import contextlib
import json
import math
import os
import pickle
import resource
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

NICENESS = 5
"""Below the service: where they share a processor, small requests go first."""


def _main() -> None:
    socket: Connection[bytes, bytes] = Connection(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the service ends this process
    told = json.loads(socket.recv_bytes())
    sys.path[:] = told["path"]
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (told["memory"], told["memory"]))
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            call = socket.recv_bytes()
            signal.alarm(math.ceil(told["seconds"]) + 1)  # also without the service
            socket.send_bytes(pickle.dumps(_answer(call, told["memory"])))
            signal.alarm(0)


def _answer(call: bytes, memory: int) -> tuple[bool, Any]:
    try:
        function, args, options = pickle.loads(call)  # noqa: S301 -- from the service
        return True, function(*args, **options)
    except MemoryError:
        from core.errors import TooLargeError  # noqa: PLC0415 -- found by the path that was told

        msg = f"reading the document takes more than {memory} bytes (LARGE_DOCUMENT_MEMORY)"
        return False, TooLargeError(msg)
    except Exception as error:  # noqa: BLE001 -- it is raised in the service
        return False, error


if __name__ == "__main__":
    _main()
