"""The connection to Postgres: engine, sessions, transactions, migrations.

Nothing connects before its first use. Driver errors leave this file as errors of `core.errors`,
without statement parameters and without the password.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from threading import Lock
from typing import Any, LiteralString

import psycopg
from pydantic import ValidationError
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    PoolProxiedConnection,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.orm import Session

import core.db.law_tables  # noqa: F401 -- so that `Base` knows these tables, too
from core.concurrency.thread_pool import seconds_left
from core.db.driver.arguments import CONNECT
from core.db.driver.arguments import options as connect_options
from core.db.driver.bounded_connection import (
    BoundedConnection,
    bounded_connection,
    limiting,
)
from core.db.driver.errors import driver_errors_translated, raw_errors_translated
from core.db.driver.pipelined import Limits, Pipelined
from core.db.migrations import Direction, refuse_in_production, run_alembic
from core.db.probe import Probe
from core.db.tables import Base
from core.errors import ConfigurationError
from core.setting_groups.problems import problems
from core.settings import DatabaseSettings

type Row = tuple[Any, ...]

base = Base

_KEPT = 4
"""Connections that are kept open."""
_BESIDE = 12
"""Connections for work outside the threads of requests, including partners' requests."""
_POOL = {
    "pool_size": _KEPT,
    "pool_timeout": 2,
    "pool_recycle": 1800,
    "pool_pre_ping": True,
}
_GRACE = 2  # seconds for Postgres to end a statement by its own timeout


class Database:
    """Engine and sessions; `database` below is the shared instance of this process."""

    def __init__(self) -> None:
        self._settings: DatabaseSettings | None = None
        self._initializing = Lock()
        self._engine: Engine | None = None
        self._probe: Probe | None = None
        self._limits: Callable[[], Limits] = lambda: Limits(statement=0, lock=0)

    def initialize(self, settings: DatabaseSettings | None = None) -> None:
        """Make the engines without connecting; may be called again with other settings.

        Raises:
            ConfigurationError: when called without settings and the environment lacks one.
        """
        self.close()
        self._settings = settings or database_settings()
        threads = self._settings.postgres_threads
        self._engine = _engine(self._settings, **_POOL, max_overflow=threads + _BESIDE - _KEPT)
        seconds = self._settings.postgres_statement_timeout + _GRACE
        event.listen(self._engine, "do_connect", partial(bounded_connection, seconds))
        self._limits = _limit(
            self._engine,
            statement=self._settings.postgres_statement_timeout,
            lock=self._settings.postgres_lock_timeout,
        )
        self._probe = Probe(self._settings)

    def close(self) -> None:
        """Close every idle connection; `initialize()` is needed before the next use."""
        if self._engine is not None:
            self._engine.dispose()
        self._engine = self._probe = self._settings = None

    def initialize_once(self, settings: DatabaseSettings) -> None:
        """The same, unless it was done; for parts of a process that do not know each other."""
        with self._initializing:
            if self._engine is None:
                self.initialize(settings)

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine.

        Raises:
            RuntimeError: when `initialize()` was not called.
        """
        return _initialized(self._engine)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session without automatic commit; uncommitted changes are rolled back.

        Raises:
            UnavailableError: when Postgres cannot be reached or is not migrated.
            InvalidError: when a value does not fit its column.
            ConflictError: when a constraint is violated.
        """
        with driver_errors_translated(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that is committed at the end, or rolled back after an error.

        Raises the same errors as `session()`.
        """
        with self.session() as session, session.begin():
            yield session

    def at_once(
        self, statements: LiteralString, parameters: Mapping[str, object]
    ) -> list[list[Row]]:
        """Execute several statements as one transaction with one message each way.

        Returns the rows of each statement. Parameters are `%(name)s` in the text, and are put into
        it as literals by the driver. For what is done for each request: a transaction of a session
        takes six messages, and most of its CPU time.

        Raises the same errors as `session()`.
        """
        text = f"{_limiting(self._limits())};{statements}".encode()
        with self._driver_connection() as connection:
            return _executed(connection, text, parameters)

    def in_pipeline(
        self, statements: Pipelined, parameters: Mapping[str, object]
    ) -> list[list[Row]]:
        """Like `at_once`, for parameters that are large.

        Raises the same errors as `session()`.
        """
        with self._driver_connection() as connection:
            return connection.wait(statements.over(connection, parameters, self._limits()))

    def connection_of_its_own(self) -> BoundedConnection:
        """A new connection outside the pool, which ends with the last reference to it.

        Raises:
            UnavailableError: when Postgres cannot be reached within about two seconds.
        """
        settings = _initialized(self._settings)
        words, options = self.engine.dialect.create_connect_args(self.engine.url)
        with raw_errors_translated():
            return BoundedConnection.connect(*words, **{**options, **connect_options(settings)})

    @contextmanager
    def _driver_connection(self) -> Iterator[BoundedConnection]:
        with raw_errors_translated(), closing(self.engine.raw_connection()) as pooled:
            connection = pooled.driver_connection
            assert isinstance(connection, BoundedConnection)
            try:
                yield connection
            except psycopg.OperationalError as error:
                _let_go(pooled, error)
                raise

    def migrate(self, revision: str = "head") -> None:
        """Migrate to the newest revision, or up to another; safe in several processes at once.

        Raises:
            UnavailableError: when Postgres cannot be reached.
            ConfigurationError: when the database is newer than this version.
        """
        if revision != "head" or len(set(self.revisions())) > 1:  # Alembic's import takes long
            self._alembic("upgrade", revision)

    def teardown(self) -> None:
        """Undo every migration, which deletes all tables of the service with their rows.

        Raises:
            ForbiddenError: in production.
            UnavailableError: when Postgres cannot be reached.
        """
        refuse_in_production("teardown", _initialized(self._settings))
        self._alembic("downgrade", "base")

    def reachable(self) -> bool:
        """Whether Postgres answers on a fresh connection within about two seconds per address."""
        return _initialized(self._probe).reachable()

    def revisions(self) -> tuple[str, str]:
        """The revision that the database is at (`none` before the first), and the newest one.

        Raises:
            UnavailableError: when Postgres cannot be reached within about two seconds.
        """
        return _initialized(self._probe).revisions()

    def schema_problem(self) -> str | None:
        """What is missing in the schema, and what to do; None if the schema is complete.

        Raises:
            UnavailableError: when Postgres cannot be reached within about two seconds.
        """
        return _initialized(self._probe).schema_problem()

    def _alembic(self, direction: Direction, revision: str) -> None:
        settings = _initialized(self._settings)
        with driver_errors_translated(), migration_engine(settings).connect() as connection:
            run_alembic(direction, revision, connection, settings)


def get_database_url(settings: DatabaseSettings | None = None) -> str:
    """SQLAlchemy's URL of the environment's database. The password is in it: never log it.

    Raises:
        ConfigurationError: when called without settings and the environment lacks one.
    """
    return _url(settings or database_settings()).render_as_string(hide_password=False)


def migration_engine(settings: DatabaseSettings | None = None, url: str | None = None) -> Engine:
    """An engine for Alembic, without time limits for statements.

    With a `url` no settings are read; those of TLS can be in its query.

    Raises:
        ConfigurationError: when called without either and the environment lacks a setting.
    """
    if url:
        ours = make_url(url).get_driver_name() == "psycopg"  # other drivers have other options
        return _created(url, CONNECT if ours else {}, poolclass=NullPool)
    return _engine(settings or database_settings(), poolclass=NullPool)


def database_settings() -> DatabaseSettings:
    """The database settings of the environment.

    Raises:
        ConfigurationError: with one line for each variable that is missing or wrong.
    """
    try:
        return DatabaseSettings()
    except ValidationError as error:  # its own text would repeat the password
        raise ConfigurationError(problems(error)) from None


def _executed(connection: Any, text: bytes, parameters: Mapping[str, object]) -> list[list[Row]]:
    connection.autocommit = True  # several statements in one message are one transaction
    try:
        with psycopg.ClientCursor(connection) as cursor:
            cursor.execute(text, parameters)
            return [each.fetchall() for each in cursor.results() if each.description]
    finally:
        if not connection.closed:
            connection.autocommit = False


def _let_go(pooled: PoolProxiedConnection, error: psycopg.OperationalError) -> None:
    """Tell the pool of a lost connection, before it finds out and logs that as an error."""
    if getattr(pooled.driver_connection, "closed", False):
        pooled.invalidate(error)


def _initialized[T](part: T | None) -> T:
    if part is None:
        raise RuntimeError("call database.initialize() first")
    return part


def _engine(settings: DatabaseSettings, **options: Any) -> Engine:
    return _created(_url(settings), connect_options(settings), **options)


def _created(url: URL | str, connect: dict[str, Any], **options: Any) -> Engine:
    return create_engine(url, hide_parameters=True, connect_args=connect, **options)


def _limit(engine: Engine, *, statement: float, lock: float) -> Callable[[], Limits]:
    """Set the time limits, in seconds, and the time zone UTC in every transaction.

    A call ends with the time of its caller. Returns what tells the limits. A session setting would
    apply to other clients behind a pooler.
    """

    def limits() -> Limits:
        left = seconds_left()
        most = statement if left is None else min(statement, left)
        return Limits(statement=_milliseconds(most), lock=_milliseconds(lock))

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(_limiting(limits()))

    event.listen(engine, "begin", begun)
    return limits


def _limiting(limits: Limits) -> str:
    return limiting(limits.statement, limits.lock)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))  # 0 would be no limit


def _url(settings: DatabaseSettings) -> URL:
    return URL.create(
        "postgresql+psycopg",
        username=settings.postgres_user,
        password=settings.postgres_password.get_secret_value(),
        host=settings.postgres_host,
        port=settings.postgres_port,
        database=settings.postgres_database,
    )


database = Database()
