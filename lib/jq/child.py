"""Evaluates jq filters in a separate process; started by `lib.jq.process` as a script.

jq holds the interpreter's lock and cannot be interrupted; only the end of its process stops it. The
first line of standard input is a JSON object with `path` (for imports) and the limits `memory`
(bytes) and `seconds`. After that each request is two lines, the filter and the document as JSON,
and each answer is one line: `{"matches": ...}` or `{"error": ...}`.
"""

import json
import math
import resource
import signal
import sys
from typing import Any


def _main() -> None:
    setup = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = setup["path"]
    import jq  # noqa: PLC0415 -- needs the path set above

    resource.setrlimit(resource.RLIMIT_AS, (setup["memory"], setup["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    programs: dict[bytes, Any] = {}
    while text := sys.stdin.buffer.readline():
        document = sys.stdin.buffer.readline()
        # Ends this process even if the parent is gone: SIGALRM has no handler.
        signal.alarm(math.ceil(setup["seconds"]) + 1)
        try:
            if text not in programs:
                programs[text] = jq.compile(json.loads(text))
            first = next(iter(programs[text].input_text(document.decode())), False)
            answer: dict[str, Any] = {"matches": bool(first)}
        except ValueError as error:
            answer = {"error": str(error)[:1000]}
        signal.alarm(0)
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
