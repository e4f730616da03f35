"""Keeping this process's memory, and so its secrets, off the disk and from its neighbours."""

import contextlib
import ctypes
import resource

_PR_SET_DUMPABLE = 4


def switch_off() -> None:
    """No core dumps of this process and of those that it starts.

    The limit holds for files; the kernel hands a dump to a program (`core_pattern`) regardless of
    it, but not for a process that is not dumpable. Other processes of the same user cannot read
    the environment and the memory of such a process either.
    """
    with contextlib.suppress(ValueError, OSError):  # where even lowering is forbidden
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(AttributeError, OSError):  # where there is no prctl
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
