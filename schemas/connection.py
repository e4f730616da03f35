"""A connection in answers, without its configuration."""

from pydantic import BaseModel


class ConnectionSummary(BaseModel, defer_build=True):
    """A connection of `config.yml`."""

    name: str
    type: str
    health: str
    """`ok`, or the error."""
    tasks: list[str]
    """Those that callers may run."""
