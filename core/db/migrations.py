"""Runs Alembic inside the service: in one process at a time, from any working directory."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from core.db.revisions import ALEMBIC_INI
from core.errors import ConfigurationError, ForbiddenError
from core.settings import DatabaseSettings

_LOCK = 0x7061_7463_6863_6F72  # arbitrary, the same in every replica and version
_LOCK_POLL = 0.1  # seconds
_PARTITION = re.compile("(custody|chain_runs|audit_events)_([0-9]{8}|other|before)")

type Direction = Literal["upgrade", "downgrade"]


def run_alembic(
    direction: Direction, revision: str, connection: Connection, settings: DatabaseSettings
) -> None:
    """Migrate on a connection, without Alembic's changes of `sys.path`.

    Raises:
        ConfigurationError: when the database is at a revision that this version does not know.
    """
    from alembic import command  # noqa: PLC0415 -- most processes migrate nothing
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config(ALEMBIC_INI)
    config.set_main_option("prepend_sys_path", "")
    config.attributes.update(connection=connection, settings=settings)
    try:
        getattr(command, direction)(config, revision)
    except CommandError as error:
        raise ConfigurationError(f"The database cannot be migrated: {error}") from error


@contextmanager
def migration_lock(engine: Engine) -> Iterator[None]:
    """Let one process at a time change the schema of this database; other processes wait.

    The lock belongs to a transaction on a second connection, because revisions may commit, and a
    session lock would be lost behind a pooler that assigns connections by transaction. The
    transaction holds no snapshot while it is open; otherwise a `CREATE INDEX CONCURRENTLY` of the
    migration would wait for it. For the same reason waiting processes poll instead of blocking in
    Postgres.
    """
    with engine.connect() as holder:
        while not _locked(holder):
            holder.rollback()
            time.sleep(_LOCK_POLL)
        try:
            yield
        finally:
            with suppress(SQLAlchemyError):  # a lost connection has released the lock
                holder.rollback()


def _locked(holder: Connection) -> bool:
    # Without parameters it is a simple query; a portal would stay open and keep its snapshot.
    holder.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    return bool(holder.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_LOCK})").scalar())


def refuse_in_production(deed: str, settings: DatabaseSettings) -> None:
    """Raise `ForbiddenError` when these settings say production."""
    if settings.environment == "production":
        raise ForbiddenError(f"{deed} is refused: ENVIRONMENT is production")


def is_compared(name: str | None, kind: str, _parents: object) -> bool:
    """Whether Alembic compares this with the models: partitions come and go with the days."""
    return kind != "table" or name is None or _PARTITION.fullmatch(name) is None
