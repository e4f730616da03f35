"""Runs jq filters in a process of its own; started by `lib.jq.process` as a script.

jq holds the interpreter's lock while it works and cannot be interrupted, so nothing but the end of
its process stops it. The first line of the standard input is a JSON object with `path` (for
imports) and the limits `memory` (bytes) and `seconds`. After that each request is two lines, the
filter and the document as JSON, and each answer one line: `{"matches": ...}` or `{"error": ...}`.
"""

import json
import math
import resource
import signal
import sys
from typing import Any


def _main() -> None:
    told = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = told["path"]
    import jq  # noqa: PLC0415 -- found by the path that was told

    resource.setrlimit(resource.RLIMIT_AS, (told["memory"], told["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    programs: dict[bytes, Any] = {}
    while text := sys.stdin.buffer.readline():
        document = sys.stdin.buffer.readline()
        signal.alarm(math.ceil(told["seconds"]) + 1)  # also without the parent; no handler: ends it
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
