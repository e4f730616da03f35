"""Asking the name server, for a limited time.

`getaddrinfo` cannot be stopped: it runs in a thread of its own, which is left behind when the time
is over. So many threads at most wait for a name server.
"""

import socket
import threading
from concurrent.futures import Future

MOST_LOOKUPS = 32

type Found = Future[list[str]]

_places = threading.BoundedSemaphore(MOST_LOOKUPS)


def addresses(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host.

    Raises:
        OSError: when they cannot be had; TimeoutError within `seconds`.
        UnicodeError: when it is no name.
    """
    if not _places.acquire(timeout=max(seconds, 0)):
        raise TimeoutError("all name lookups are waiting")
    found: Found = Future()
    threading.Thread(target=_look, args=(found, host, port), name="lookup", daemon=True).start()
    return found.result(max(seconds, 0))


def _look(found: Found, host: str, port: int) -> None:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found.set_result([str(info[4][0]) for info in infos])
    except (OSError, UnicodeError) as error:
        found.set_exception(error)
    finally:
        _places.release()
