"""One process of a trial; `pipeline.operator.trial.sandbox` starts it with its socket's number.

The first message is a JSON object with `path`, for imports; see `pipeline.operator.trial.child`.
"""

import json
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any


def prepare(settings: Mapping[str, Any]) -> None:
    """Prepare this process for plugins, as a worker does."""
    from lib.vcon_server.host import receive_plugins  # noqa: PLC0415 -- found by the received path
    from pipeline.config.yaml_file import document  # noqa: PLC0415 -- likewise

    receive_plugins(SimpleNamespace(**settings), document)


def main() -> None:
    """Receive the path, and serve."""
    socket: Connection[bytes, bytes] = Connection(int(sys.argv[1]))
    sys.path[:] = json.loads(socket.recv_bytes())["path"]
    from pipeline.operator.trial.child import serve  # noqa: PLC0415 -- found by the received path

    serve(socket, prepare)


if __name__ == "__main__":
    main()
