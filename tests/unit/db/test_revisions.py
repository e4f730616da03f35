"""The migrations of the database are one line."""

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from core.db.revisions import known_revisions, newest_revision

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
