"""A service's own tables and migrations beside those of this service, as the page has them."""

import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from core.db.database import Database
from core.errors import ConfigurationError
from tests.unit.support.source_files import ROOT

PAGE = (ROOT / "docs" / "moving-from-vera-py-service.md").read_text(encoding="utf-8")
REVISION = """
import sqlalchemy as sa

from alembic import op

revision, down_revision = "0001", None


def upgrade():
    op.create_table("greetings", sa.Column("name", sa.String, primary_key=True))


def downgrade():
    op.drop_table("greetings")
"""


def block(begins: str) -> str:
    """The page's code block that begins so."""
    blocks = re.findall(r"```\w+\n(.*?)```", PAGE, re.DOTALL)
    [found] = [each for each in blocks if each.startswith(begins)]
    return found


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """The folder of a service with a table of its own."""
    folder = tmp_path / "migrations" / "versions"
    folder.mkdir(parents=True)
    (folder / "0001_greetings.py").write_text(REVISION)
    (tmp_path / "migrations" / "env.py").write_text(block('"""Migrates my own tables'))
    (tmp_path / "greetings.py").write_text(block('"""greetings.py'))
    (tmp_path / "mine.ini").write_text(block("[alembic]"))
    return tmp_path


@pytest.fixture
def database(empty_settings):
    """A database without tables."""
    database = Database()
    database.initialize(empty_settings)
    yield database
    database.close()


@pytest.fixture
def url(empty_environment) -> str:
    """The address of that database for psql and psycopg."""
    of = {name.removeprefix("POSTGRES_").lower(): each for name, each in empty_environment.items()}
    address = f"{of['host']}:{of['port']}/{of['db_test']}"
    return f"postgresql://{of['user']}:{of['password']}@{address}"


def carry_out(command: str, service: Path, environment: dict[str, str]) -> str:
    """Run a command of the page in the folder of the service; what it prints."""
    program, *words = command.split()
    ran = subprocess.run(
        [Path(sys.executable).with_name(Path(program).name), *words],
        cwd=service,
        env=environment | {"ENV_FILE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def tables(url: str) -> set[str]:
    """The tables that there are."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in rows}


COMMANDS = block(".venv/bin/alembic -c mine.ini upgrade head").splitlines()


def test_each_is_migrated_on_its_own(database, service, url, empty_environment) -> None:
    """Neither sees the other's tables or revisions; undoing one leaves the other alone."""
    for command in COMMANDS:
        told = carry_out(command, service, empty_environment)
    assert "No new upgrade operations detected" in told
    assert tables(url) == {"greetings", "alembic_version_mine"}
    database.migrate()
    assert database.schema_problem() is None
    assert tables(url) > {"greetings", "services"}
    database.teardown()
    assert tables(url) == {"greetings", "alembic_version_mine", "alembic_version"}


def test_a_database_of_vera_py_service(database, service, url, empty_environment) -> None:
    """Its version table is refused, and after the page's statement it is the own migrations'."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE greetings (name varchar PRIMARY KEY)")
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('0001'), ('of vera')")
        with pytest.raises(ConfigurationError, match="cannot be migrated"):
            database.migrate()
        connection.execute("DELETE FROM alembic_version WHERE version_num = 'of vera'")
        [statement] = re.findall(r"^psql -c '(.*)'$", PAGE, re.MULTILINE)
        connection.execute(statement)
    database.migrate()
    told = carry_out(COMMANDS[1], service, empty_environment)
    assert "No new upgrade operations detected" in told
    assert database.schema_problem() is None


def test_the_length_of_the_request_line_is_shown(empty_environment) -> None:
    """With the limit, by the command of the page; no server is asked."""
    command = block(".venv/bin/python entrypoint.py actions").split()
    environment = empty_environment | {"WEBSOCKET_URL": "ws://127.0.0.1:1/websocket", "TOKEN": "t"}
    shown = carry_out(" ".join(command), ROOT, environment)
    assert re.search(r"request line \d+ of 9998 bytes", shown)
    assert "9,998 bytes" in PAGE
