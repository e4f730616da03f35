"""A stand-in for a worker process: tells the test over a socket what it hears, and obeys or not.

`python worker_stub.py PORT MODE [--suspects] WORKER_ID`. MODE says after how many SIGTERMs it ends:
`1`, `2`, or `never`.
"""

import os
import signal
import socket
import sys

port, mode, *_, worker_id = sys.argv[1:]
test = socket.create_connection(("127.0.0.1", int(port)))
terms: list[int] = []


def tell(text: str) -> None:
    """One line to the test."""
    test.sendall(f"{text}\n".encode())


def on_term(signum: int, frame: object) -> None:
    """Count, and end when it is enough."""
    terms.append(signum)
    tell(f"term {len(terms)}")
    if mode != "never" and len(terms) >= int(mode):
        os._exit(0)


signal.signal(signal.SIGTERM, on_term)
tell(f"started {worker_id} {os.getpid()} {os.getsid(0)}")
for line in sys.stdin:
    tell(f"heard {line.strip()}")
tell("closed")
