"""Runs Alembic inside the service: in one process at a time, from any working directory."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from core.errors import ConfigurationError, ForbiddenError
from core.settings import DatabaseSettings

_ALEMBIC_INI = Path(__file__).resolve().parents[2] / "alembic.ini"
_LOCK = 0x7061_7463_6863_6F72  # arbitrary, the same in every replica and version
_LOCK_POLL = 0.1  # seconds
NO_REVISION = "none"
_MIGRATE = "run `alembic upgrade head`, or set MIGRATE_ON_START=true"
_PARTITION = re.compile("(custody|chain_runs|audit_events)_([0-9]{8}|other|before)")
_MISSING = text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NULL"
)


def run_alembic(
    command: Callable[[Config, str], None],
    revision: str,
    connection: Connection,
    settings: DatabaseSettings,
) -> None:
    """Run a function of `alembic.command` on a connection, without its changes of `sys.path`.

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
    """The revision of the database and the newest one of this version; `none` for no revision."""
    present = MigrationContext.configure(connection).get_current_revision()
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    return present or NO_REVISION, newest or NO_REVISION


@cache
def _revisions_of_this_version() -> tuple[str | None, frozenset[str]]:
    script = ScriptDirectory.from_config(_config())
    known = frozenset(each.revision for each in script.walk_revisions())
    return script.get_current_head(), known


def is_known(revision: str) -> bool:
    """Whether this version has a revision; `none` is that of a database without tables."""
    return revision == NO_REVISION or revision in _revisions_of_this_version()[1]


def schema_problem(connection: Connection, tables: Iterable[str]) -> str | None:
    """What is missing in the schema, and what to do; None if it is complete.

    An unknown revision is one of a later version, which has all tables of this version.
    """
    present = MigrationContext.configure(connection).get_current_revision()
    newest, known = _revisions_of_this_version()
    if present != newest and (present is None or present in known):
        return f"at revision {present or 'none'}, not {newest}; {_MIGRATE}"
    missing = connection.scalars(_MISSING, {"names": sorted(tables)}).all()
    if missing:
        return f"missing tables: {', '.join(missing)}; restore them from a backup"
    return None


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
