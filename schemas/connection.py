"""What is told about a connection; never what it is configured with."""

from pydantic import BaseModel


class ConnectionSummary(BaseModel):
    """A connection of `config.yml`."""

    name: str
    type: str
    health: str
    """`ok`, or what is wrong."""
    tasks: list[str]
    """Those that callers may run."""
