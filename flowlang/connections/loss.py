"""Whether a failure means that a connection is lost, or that it was used wrongly."""

import builtins

from flowlang.exceptions import ConnectionError, FlowExecutionError, FlowLangError

_MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    TypeError,
    ValueError,
)


def was_lost(error: BaseException) -> bool | None:
    """Whether an error, or its cause, means a lost connection; None if it must be checked.

    None is returned for errors of a client library, which may mean anything, and for timeouts.
    """
    while True:
        if isinstance(error, ConnectionError):
            return not error.busy
        if isinstance(error, EOFError) or _of_the_system(error):
            return True
        if error.__cause__ is None:
            return False if _is_mistake(error) else None
        error = error.__cause__


def _of_the_system(error: BaseException) -> bool:
    # A TimeoutError without errno is a limit of the caller: a slow connection is not a lost one.
    slow = isinstance(error, builtins.TimeoutError) and error.errno is None
    return isinstance(error, OSError) and not slow


def _is_mistake(error: BaseException) -> bool:
    of_the_flow = isinstance(error, FlowLangError) and not isinstance(error, FlowExecutionError)
    return of_the_flow or isinstance(error, _MISTAKES)
