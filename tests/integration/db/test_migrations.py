"""Alembic both ways, from the service and from the command line, against a real PostgreSQL."""

import logging
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from core.db.database import Database, base
from core.db.migrations import is_compared
from core.errors import ConfigurationError, ForbiddenError

CHECKOUT = Path(__file__).resolve().parents[3]
ALEMBIC_INI = CHECKOUT / "alembic.ini"
SCRIPTS = ScriptDirectory.from_config(Config(ALEMBIC_INI))
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]

FILL = """
INSERT INTO services VALUES (1, 'one', now(), now(), NULL);
INSERT INTO tokens (id, service_id, context, inserted_at, expires_at)
     VALUES (1, 1, 'api-token', now(), now());
INSERT INTO chain_runs (run_id, chain, config_hash, vcon_in, vcon_out, status, attempts)
     SELECT gen_random_uuid(), 'main', '', gen_random_uuid(), gen_random_uuid(), 'done', 1
     FROM generate_series(1, 1000);
"""

# Once the newest revision is there.
FILL_MORE = """
INSERT INTO ingress_keys
       (id, ingress_list, label, secret_sha256, source, lineage, created_at)
     SELECT gen_random_uuid(), 'in', '', i::text, 'action', gen_random_uuid(), now()
     FROM generate_series(1, 10) AS i;
INSERT INTO vcon_owners SELECT gen_random_uuid(), lineage, now() FROM ingress_keys;
INSERT INTO ingress_usage SELECT id, current_date, 1, '{"409": 1}', 10 FROM ingress_keys;
INSERT INTO audit_events (at, action, actor, target, detail)
     SELECT now(), 'CreateIngressKey', 'service:1', id::text, '{}' FROM ingress_keys;
"""

SCHEMA = """
SELECT table_name, column_name, data_type, is_nullable, column_default
  FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL
SELECT tablename, indexname, indexdef, NULL, NULL FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), NULL, NULL
  FROM pg_trigger WHERE NOT tgisinternal
ORDER BY 1, 2
"""

# Tells that it is ready, waits for the word, migrates, tells how many revisions it ran.
RACER = """
import logging, sys
from core.db.database import database

class Count(logging.Handler):
    upgrades = 0
    def emit(self, record):
        Count.upgrades += "Running" in record.getMessage()

logger = logging.getLogger("alembic.runtime.migration")
logger.setLevel(logging.INFO)
logger.addHandler(Count())
database.initialize()
assert database.reachable()
print("ready", flush=True)
sys.stdin.readline()
database.migrate()
print(Count.upgrades)
"""


@pytest.fixture
def database(empty_settings):
    """A database without tables."""
    database = Database()
    database.initialize(empty_settings)
    yield database
    database.close()


@pytest.fixture
def production(empty_settings, database):
    """The same database, migrated, filled and seen as production."""
    database.migrate()
    execute(database, FILL)
    production = Database()
    production.initialize(empty_settings.model_copy(update={"environment": "production"}))
    yield production
    production.close()


def execute(database, statements):
    """Run SQL in a transaction of its own; the rows of the last statement, if it has any."""
    with database.transaction() as session:
        result = session.connection().exec_driver_sql(statements)
        return result.all() if result.returns_rows else []


def tables(database):
    """The names of all tables but Alembic's own."""
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


def test_models_and_migrations_agree(database):
    """The newest revision makes exactly the tables that the models describe."""
    database.migrate()
    with database.engine.connect() as connection:
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": is_compared,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, base.metadata) == []


def test_round_trip_of_a_filled_database(database):
    """Down to nothing and up again works on a filled database and gives the same schema."""
    database.migrate()
    schema = execute(database, SCHEMA)
    execute(database, FILL + FILL_MORE)
    database.teardown()
    assert tables(database) == set()
    database.migrate()
    assert execute(database, SCHEMA) == schema
    assert execute(database, "SELECT count(*) FROM chain_runs") == [(0,)]


@pytest.mark.parametrize("number", range(len(REVISIONS)))
def test_each_revision_undoes_itself(database, number):
    """Going one revision up and back again leaves the schema as it was before."""
    before = REVISIONS[number - 1] if number else "base"
    config = Config(ALEMBIC_INI)
    with database.engine.connect() as connection:
        config.attributes.update(connection=connection, settings=database._settings)
        command.upgrade(config, before)
        schema = execute(database, SCHEMA)
        command.upgrade(config, REVISIONS[number])
        assert execute(database, SCHEMA) != schema
        command.downgrade(config, before)
        assert execute(database, SCHEMA) == schema


def test_migrating_disturbs_nothing_else(database, monkeypatch, tmp_path):
    """From any folder, `migrate()` finds its files and leaves logging and import path alone."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before = (list(sys.path), list(root.handlers), root.level, logging.getLogger("alembic").level)
    database.migrate()
    database.migrate()
    after = (list(sys.path), list(root.handlers), root.level, logging.getLogger("alembic").level)
    assert after == before
    assert "services" in tables(database)


def test_a_start_at_the_newest_revision_does_without_alembic(database, empty_environment):
    """Nearly every start is one, and Alembic takes a third of its CPU time."""
    database.migrate()
    program = (
        "import sys; from core.db.database import database; database.initialize();"
        " database.migrate(); print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, env=empty_environment, text=True) == "False\n"


def test_eight_processes_migrate_once(database, empty_environment):
    """Of eight processes that start at once, all succeed and each revision runs once."""
    with ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", RACER],
                    env=empty_environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(8)
        ]
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 8
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        ended = [racer.communicate() for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 8, ended
    assert sum(int(out) for out, _ in ended) == len(REVISIONS)


def test_failed_migration_lets_others_try(database):
    """A database newer than this version is the operator's matter, and the lock is let go."""
    database.migrate()
    execute(database, "UPDATE alembic_version SET version_num = 'ffff'")
    with pytest.raises(ConfigurationError, match="ffff"):
        database.migrate()
    assert execute(database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_teardown_refuses_production(production):
    """In production `teardown()` says no and touches nothing."""
    with pytest.raises(ForbiddenError, match="production"):
        production.teardown()
    assert execute(production, "SELECT count(*) FROM chain_runs") == [(1000,)]


def test_programmed_downgrade_refuses_production(production):
    """A downgrade through Alembic's own functions is rolled back in production, too."""
    config = Config(ALEMBIC_INI)
    with production.engine.connect() as connection:
        config.attributes.update(connection=connection, settings=production._settings)
        with pytest.raises(ForbiddenError, match="production"):
            command.downgrade(config, "-1")
    assert execute(production, "SELECT count(*) FROM chain_runs") == [(1000,)]
