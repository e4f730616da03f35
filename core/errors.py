"""The service's errors, and the HTTP status of each.

The docstring of a class is its default message. The files that own a driver (Redis, Postgres,
WebSocket) convert the driver's errors to these, so that other files do not catch a driver's class.
"""

from collections.abc import Mapping, Sequence
from typing import Self


class PatchcordError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class ConfigurationError(PatchcordError):
    """A setting or the configuration file is wrong."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class InvalidError(PatchcordError):
    """The request is not valid."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.problems = list(problems)
        super().__init__(message)


class MalformedError(InvalidError):
    """The content is not JSON; `position` is the character at which that shows."""

    def __init__(self, message: str, position: int = 0) -> None:
        self.position = position
        super().__init__(message)

    def __reduce__(self) -> tuple[type[Self], tuple[str, int]]:
        """For the helper process, which returns errors pickled."""
        return type(self), (str(self), self.position)


class ForbiddenError(PatchcordError):
    """The caller may not do this."""


class UnknownNameError(PatchcordError):
    """The name does not exist."""

    def __init__(self, kind: str, name: str, known: Sequence[str] | None = None) -> None:
        listed = "" if known is None else f"; known: {', '.join(sorted(known)) or 'none'}"
        super().__init__(f"Unknown {kind}: {name}{listed}")


class ConflictError(PatchcordError):
    """The resource is in use or has another owner."""


class BusyError(ConflictError):
    """The vCon is being processed; try again later."""

    retry_after = 1
    """Seconds until it is worth another try."""


class ReusedKeyError(ConflictError):
    """The idempotency key was used for another request."""


class GoneError(PatchcordError):
    """The vCon was erased; its uuid is not accepted again."""

    def __init__(self, vcon_uuid: str | None = None) -> None:
        self.vcon_uuid = vcon_uuid
        erased = f"vCon {vcon_uuid} was erased; its uuid is not accepted again"
        super().__init__(erased if vcon_uuid else None)


class TooLargeError(PatchcordError):
    """The request is larger than this service accepts."""


class _LaterError(PatchcordError):
    """The request may succeed later. `retry_after`: whole seconds until it is worth another try."""

    def __init__(self, message: str | None = None, retry_after: int = 1) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class RateLimitedError(_LaterError):
    """Too many requests."""


class UnavailableError(_LaterError):
    """A server that this service depends on is not available; try again later."""


class FullError(UnavailableError):
    """A list or queue is full; nothing was written."""


class UnusableKeyError(PatchcordError):
    """A key in Redis has another type than this service keeps there; nothing was changed."""

    retry_after = 1
    """Seconds until it is worth another try."""


class TooLateError(PatchcordError):
    """The request took longer than its time limit."""


class PluginFailedError(PatchcordError):
    """A link, storage or tracer could not be loaded or has failed."""


class StoppedEarlyError(KeyboardInterrupt):
    """A stop signal came before the handlers were installed.

    A KeyboardInterrupt, because event loops do not catch it.
    """


STATUS_OF: dict[type[Exception], int] = {
    InvalidError: 400,
    ForbiddenError: 403,
    UnknownNameError: 404,
    ConflictError: 409,
    GoneError: 410,
    TooLargeError: 413,
    RateLimitedError: 429,
    PluginFailedError: 502,
    UnavailableError: 503,
    UnusableKeyError: 503,
    TooLateError: 504,
}
"""The status of each error in answers to requests of the Plugboard."""


def status_of(error: BaseException, statuses: Mapping[type[Exception], int] = STATUS_OF) -> int:
    """The status of an error, by the first class in the table that it is of; else 500."""
    return next((code for kind, code in statuses.items() if isinstance(error, kind)), 500)
