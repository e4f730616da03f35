"""The documented Alembic command line, against a real PostgreSQL."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect

from core.db.database import Database

CHECKOUT = Path(__file__).resolve().parents[3]
ALEMBIC_INI = CHECKOUT / "alembic.ini"


@pytest.fixture
def database(empty_settings):
    """A database without tables."""
    database = Database()
    database.initialize(empty_settings)
    yield database
    database.close()


def tables(database):
    """The names of all tables but Alembic's own."""
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


def alembic(empty_environment, cwd, *arguments):
    """Run the documented command line."""
    program = Path(sys.executable).with_name("alembic")
    return subprocess.run(
        [program, *arguments],
        cwd=cwd,
        env=empty_environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("revisions", [["base"], ["0002:base", "--sql"]])
def test_command_line_downgrade_refuses_production(database, empty_environment, revisions):
    """`alembic downgrade` fails with one clear line in production, also when it only prints."""
    database.migrate()
    before = tables(database)
    ran = alembic(
        empty_environment | {"ENVIRONMENT": "production"}, CHECKOUT, "downgrade", *revisions
    )
    assert ran.returncode != 0
    assert "FAILED: A downgrade is refused: ENVIRONMENT is production" in ran.stdout
    assert "Traceback" not in ran.stderr
    assert "DROP" not in ran.stdout
    assert tables(database) == before


def test_command_line_both_ways(database, empty_environment, tmp_path):
    """`alembic upgrade head` and `alembic downgrade base` work as documented, from any folder."""
    up = alembic(empty_environment, CHECKOUT, "upgrade", "head")
    assert up.returncode == 0, up.stderr
    assert "services" in tables(database)
    down = alembic(empty_environment, tmp_path, "-c", ALEMBIC_INI, "downgrade", "base")
    assert down.returncode == 0, down.stderr
    assert tables(database) == set()


def test_command_line_takes_the_url_of_its_configuration(empty_settings, database, tmp_path):
    """With `sqlalchemy.url` in the configuration, variables are needed only to go down."""
    url = database.engine.url.render_as_string(hide_password=False)
    config = tmp_path / "alembic.ini"
    lines = ALEMBIC_INI.read_text().replace("%(here)s", str(CHECKOUT))
    config.write_text(lines.replace("sqlalchemy.url =", f"sqlalchemy.url = {url}"))
    bare = {"PATH": os.environ["PATH"]}
    up = alembic(bare, tmp_path, "upgrade", "head")
    assert up.returncode == 0, up.stderr
    down = alembic(bare, tmp_path, "downgrade", "base")
    assert down.returncode != 0
    assert "POSTGRES_HOST" in down.stdout
    assert "services" in tables(database)


def test_command_line_failure_is_one_line(empty_environment):
    """An unreachable Postgres is one line without a traceback and without the password."""
    ran = alembic(
        empty_environment | {"POSTGRES_HOST": "host.invalid"}, CHECKOUT, "upgrade", "head"
    )
    assert ran.returncode != 0
    assert "FAILED: Postgres:" in ran.stdout
    assert "Traceback" not in ran.stderr
    assert empty_environment["POSTGRES_PASSWORD"] not in ran.stdout + ran.stderr


def test_sql_can_be_printed(empty_environment):
    """`--sql` prints the statements for those who run them by hand."""
    ran = alembic(empty_environment, CHECKOUT, "upgrade", "head", "--sql")
    assert ran.returncode == 0, ran.stderr
    assert "CREATE TABLE chain_runs" in ran.stdout
