"""Alembic's environment, for migrations by the service and from the command line."""

from collections.abc import Collection, Mapping
from logging.config import fileConfig
from typing import Any

from alembic import command, context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.util import CommandError
from sqlalchemy import Connection, Engine

from core.db.database import (
    base,
    database_settings,
    get_database_url,
    migration_engine,
)
from core.db.driver.errors import driver_errors_translated
from core.db.migrations import is_compared, migration_lock, refuse_in_production
from core.environment import read_env_file
from core.errors import PatchcordError

config = context.config
read_env_file()


def url() -> str:
    return config.get_main_option("sqlalchemy.url") or get_database_url()


def engine() -> Engine:
    return migration_engine(url=config.get_main_option("sqlalchemy.url"))


def refuse_downgrade_in_production() -> None:
    """Raise an error in production, and without settings, which may be production."""
    settings = config.attributes.get("settings") or database_settings()
    refuse_in_production("A downgrade", settings)


def check_step(
    ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]
) -> None:
    """Refuse a downgrade; Alembic calls this after each step, in the step's transaction."""
    if not step.is_upgrade:
        refuse_downgrade_in_production()


def migrate_over(connection: Connection) -> None:
    with migration_lock(connection.engine):
        context.configure(
            connection=connection,
            target_metadata=base.metadata,
            on_version_apply=check_step,
            include_name=is_compared,
        )
        with context.begin_transaction():
            context.run_migrations()


def print_sql() -> None:
    context.configure(url=url(), target_metadata=base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def migrate_from_command_line() -> None:
    if getattr(config.cmd_opts, "cmd", (None,))[0] is command.downgrade:
        refuse_downgrade_in_production()
    if context.is_offline_mode():
        print_sql()
        return
    with driver_errors_translated(), engine().connect() as connection:
        migrate_over(connection)


def main() -> None:
    connection = config.attributes.get("connection")
    if connection is not None:
        migrate_over(connection)
        return
    if config.config_file_name is not None:
        fileConfig(config.config_file_name, disable_existing_loggers=False)
    try:
        migrate_from_command_line()
    except PatchcordError as error:  # the command line prints this kind as one line
        raise CommandError(str(error)) from error


main()
