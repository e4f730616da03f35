"""Forks processes on request; the requests come over a socket, with the descriptors.

A new process is a grandchild of the one that forks, whose child ends at once. So it becomes a child
of the process that asked, which the kernel gives orphans below it (`PR_SET_CHILD_SUBREAPER`).
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading

from tests.prepared.orders import Call, Facts, Order

PR_SET_CHILD_SUBREAPER = 36
MOST_DESCRIPTORS = 64


def adopt_orphans() -> None:
    """Become the parent of all processes below this one whose parents end."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Requests:
    """The asking end."""

    def __init__(self, control: socket.socket, facts: Facts) -> None:
        self._control = control
        self._facts = facts
        self._lock = threading.Lock()

    def start(self, call: Call) -> int | None:
        """A new child of this process; None if it has to be executed.

        Raises:
            OSError: the process that forks has ended.
        """
        order = self._facts.fit(call)
        if order is None or call.preexec_fn is not None:
            return None
        text = os.memfd_create("order")
        try:
            os.write(text, order.encoded())
            with self._lock:
                socket.send_fds(self._control, [b"start"], [text, *call.descriptors])
                answer = self._control.recv(32)
        finally:
            os.close(text)
        if not answer:
            raise ConnectionResetError("the prepared process has ended")
        return int(answer)


def serve(control: socket.socket) -> tuple[Order, list[int]]:
    """Fork for each request; returns in the new processes only.

    Ends this process when the other end is closed. It has one thread: no lock of another one can be
    held in the copy.
    """
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, 16, MOST_DESCRIPTORS)
        except ConnectionError:
            os._exit(0)
        if not message:
            os._exit(0)
        pid = _fork_orphan()
        if not pid:
            text, *rest = descriptors
            return Order.decoded(os.pread(text, os.fstat(text).st_size, 0)), rest
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(str(pid).encode())


def _fork_orphan() -> int:
    """Fork twice: 0 in the new process, when it has its parent; its id in this one."""
    readable, writable = os.pipe()
    if between := os.fork():
        os.close(writable)
        pid = int(os.read(readable, 32))
        os.close(readable)
        os.waitpid(between, 0)
        return pid
    between = os.getpid()
    if pid := os.fork():
        os.write(writable, str(pid).encode())
        os._exit(0)
    while os.getppid() == between:
        os.sched_yield()
    return 0
