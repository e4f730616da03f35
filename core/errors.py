"""Everything that can go wrong, by whose fault it is.

One root. The docstring of a class is the message a caller sees when the raiser gives none.
Drivers' own errors (Redis, Postgres, WebSocket) are turned into these at the file that owns the
driver, so nothing above ever catches a driver's class.
"""

from collections.abc import Sequence


class PatchcordError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class ConfigurationError(PatchcordError):
    """The operator's fault: a setting or the configuration file is wrong."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class InvalidError(PatchcordError):
    """The request is not valid."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.problems = list(problems)
        super().__init__(message)


class ForbiddenError(PatchcordError):
    """The caller may not do this."""


class UnknownNameError(PatchcordError):
    """No such thing."""

    def __init__(self, kind: str, name: str, known: Sequence[str] | None = None) -> None:
        listed = "" if known is None else f"; known: {', '.join(sorted(known)) or 'none'}"
        super().__init__(f"Unknown {kind}: {name}{listed}")


class ConflictError(PatchcordError):
    """The thing is busy or belongs to somebody else."""


class TooLargeError(PatchcordError):
    """The request is larger than this service accepts."""


class RateLimitedError(PatchcordError):
    """Too many requests."""


class UnavailableError(PatchcordError):
    """Something this service depends on cannot be reached just now; try again later."""


class FullError(UnavailableError):
    """There is no room for more just now; nothing was written."""


class UnusableKeyError(PatchcordError):
    """A key in Redis has another type than this service keeps there; nothing was changed."""


class TooLateError(PatchcordError):
    """It took longer than the caller allowed."""


class PluginFailedError(PatchcordError):
    """A link, storage or tracer could not be loaded or has failed."""


class StoppedEarlyError(KeyboardInterrupt):
    """Asked to stop before the signals were handled; event loops let this kind of error through."""
