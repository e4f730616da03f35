"""The helper process: `helper_process` beside it starts this as a script with its socket's number.

The first message is a JSON object with `path` (for imports) and the limits `memory` (bytes) and
`seconds`. Each further message is a pickled call; the reply is a pickled pair: True and the result,
or False and the exception.
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
"""Lower priority than the service, so that small requests are not delayed."""


def _main() -> None:
    socket: Connection[bytes, bytes] = Connection(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the service ends this process
    settings = json.loads(socket.recv_bytes())
    sys.path[:] = settings["path"]
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (settings["memory"], settings["memory"]))
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            call = socket.recv_bytes()
            signal.alarm(
                math.ceil(settings["seconds"]) + 1
            )  # ends this process even if the service does not
            socket.send_bytes(pickle.dumps(_answer(call, settings["memory"])))
            signal.alarm(0)


def _answer(call: bytes, memory: int) -> tuple[bool, Any]:
    try:
        function, args, options = pickle.loads(call)  # noqa: S301 -- from the service
        return True, function(*args, **options)
    except MemoryError:
        from core.errors import TooLargeError  # noqa: PLC0415 -- found by the received path

        msg = f"reading the document takes more than {memory} bytes (LARGE_DOCUMENT_MEMORY)"
        return False, TooLargeError(msg)
    except Exception as error:  # noqa: BLE001 -- it is raised in the service
        return False, error


if __name__ == "__main__":
    _main()
