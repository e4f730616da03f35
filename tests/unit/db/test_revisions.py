"""The migrations of the database are one line."""

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

import core.db.law_tables  # noqa: F401 -- so that `Base` knows these tables, too
from core.db.revisions import TABLES, known_revisions, newest_revision
from core.db.tables import Base

CHECKOUT = Path(__file__).parents[3]


def test_each_revision_follows_the_one_before() -> None:
    """Two that were written side by side would both claim to be the next."""
    config = Config(CHECKOUT / "alembic.ini")
    config.set_main_option("script_location", str(CHECKOUT / "alembic"))
    scripts = ScriptDirectory.from_config(config)
    line = [script.revision for script in scripts.walk_revisions()]
    files = [file.name[:4] for file in (CHECKOUT / "alembic" / "versions").glob("*.py")]
    assert sorted(files) == sorted(line)
    assert len(scripts.get_heads()) == 1
    assert set(known_revisions()) == set(line)
    assert newest_revision() == scripts.get_current_head()


def test_the_tables_that_are_looked_for_are_all() -> None:
    """`/ready` and `check` name each table that is missing, without importing SQLAlchemy."""
    assert set(TABLES) == set(Base.metadata.tables)
