"""How the driver connects: options of every connection, and the address and TLS of the settings."""

from typing import Any

from core.settings import DatabaseSettings

CONNECT_SECONDS = 2  # as long as a caller waits
CONNECT: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": 10_000,  # ms; detects a peer that vanished, also during a statement
    "keepalives_idle": 30,
    "application_name": "patchcord",
    # A pooler such as PgBouncer may use another server connection for each transaction, without the
    # prepared statements. It also refuses `options`: see `limiting`.
    "prepare_threshold": None,
}


def options(settings: DatabaseSettings) -> dict[str, Any]:
    """All but the address and the account."""
    tls = {"sslmode": settings.postgres_sslmode, "sslrootcert": settings.postgres_sslrootcert}
    return CONNECT | {name: value for name, value in tls.items() if value is not None}


def address(settings: DatabaseSettings) -> dict[str, Any]:
    """The address and the account; what is empty is left to libpq."""
    given = {
        "host": settings.postgres_host,
        "port": settings.postgres_port,
        "user": settings.postgres_user,
        "password": settings.postgres_password.get_secret_value(),
        "dbname": settings.postgres_database,
    }
    return {name: value for name, value in given.items() if value}
