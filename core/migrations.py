"""Alembic, run from inside the service: one process at a time, from any folder."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from core.errors import ConfigurationError, ForbiddenError
from core.settings import DatabaseSettings

_ALEMBIC_INI = Path(__file__).resolve().parent.parent / "alembic.ini"
_LOCK = 0x7061_7463_6863_6F72  # any number will do, as long as every replica asks for this one
_LOCK_POLL = 0.1  # seconds


def run_alembic(
    command: Callable[[Config, str], None],
    revision: str,
    connection: Connection,
    settings: DatabaseSettings,
) -> None:
    """Run one of `alembic.command` over a connection; logging and `sys.path` stay as they are.

    Raises:
        ConfigurationError: when the database is at a revision that this version does not know.
    """
    config = _config()
    config.attributes.update(connection=connection, settings=settings)
    try:
        command(config, revision)
    except CommandError as error:
        raise ConfigurationError(f"The database cannot be migrated: {error}") from error


def _config() -> Config:
    config = Config(_ALEMBIC_INI)
    config.set_main_option("prepend_sys_path", "")
    return config


def revisions(connection: Connection) -> tuple[str, str]:
    """The revision that the database is at, and the newest one of this version; or `none`."""
    present = MigrationContext.configure(connection).get_current_revision()
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    return present or "none", newest or "none"


@contextmanager
def migration_lock(connection: Connection) -> Iterator[None]:
    """Let one process at a time change the schema of this database; the others wait here.

    They ask again and again instead of blocking in Postgres: a session that blocks there holds a
    snapshot, and a `CREATE INDEX CONCURRENTLY` of the migration would wait for it in turn.
    """
    while not connection.scalar(select(func.pg_try_advisory_lock(_LOCK))):
        connection.commit()
        time.sleep(_LOCK_POLL)
    connection.commit()
    try:
        yield
    finally:
        with suppress(SQLAlchemyError):  # a lost connection has let go of it already
            connection.rollback()
            connection.execute(select(func.pg_advisory_unlock(_LOCK)))
            connection.commit()


def refuse_in_production(deed: str, settings: DatabaseSettings) -> None:
    """Raise `ForbiddenError` when these settings say production."""
    if settings.environment == "production":
        raise ForbiddenError(f"{deed} is refused: ENVIRONMENT is production")
