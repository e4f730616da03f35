"""What the tests of the PostgreSQL storage share."""

from __future__ import annotations

from typing import Any

from devstack.servers.postgres import Postgres


def as_options(server: Postgres, database: str) -> dict[str, Any]:
    """How the storage is told of a database."""
    return {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password,
        "database": database,
    }


def as_settings(options: dict[str, Any]) -> dict[str, Any]:
    """The same for a connection of the test's own."""
    names = ("host", "port", "user", "password")
    return {"dbname": options["database"], **{name: options[name] for name in names}}
