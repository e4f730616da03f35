"""The revision of the database, and those of this version, without importing Alembic.

Every process asks for them when it starts, and Alembic takes as long to import as SQLAlchemy.
"""

import ast
import re
from collections.abc import Iterable, Set
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text

NO_REVISION = "none"
ALEMBIC_INI = Path(__file__).resolve().parents[2] / "alembic.ini"
_VERSIONS = ALEMBIC_INI.parent / "alembic" / "versions"
_MIGRATE = "run `alembic upgrade head`, or set MIGRATE_ON_START=true"
_NAMES = re.compile(r"^(revision|down_revision)\b[^=\n]*=(.*)$", re.MULTILINE)
_PRESENT = text("SELECT version_num FROM alembic_version")
_MISSING = text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NULL"
)


def revisions(connection: Connection) -> tuple[str, str]:
    """The revision of the database and the newest one of this version; `none` for no revision."""
    return _present(connection) or NO_REVISION, newest_revision() or NO_REVISION


def is_known(revision: str) -> bool:
    """Whether this version has a revision; `none` is that of a database without tables."""
    return revision == NO_REVISION or revision in known_revisions()


def schema_problem(connection: Connection, tables: Iterable[str]) -> str | None:
    """What is missing in the schema, and what to do; None if it is complete.

    An unknown revision is one of a later version, which has all tables of this version.
    """
    present, newest = _present(connection), newest_revision()
    if present != newest and (present is None or is_known(present)):
        return f"at revision {present or NO_REVISION}, not {newest}; {_MIGRATE}"
    missing = connection.scalars(_MISSING, {"names": sorted(tables)}).all()
    if missing:
        return f"missing tables: {', '.join(missing)}; restore them from a backup"
    return None


def known_revisions() -> Set[str]:
    """The revisions of this version."""
    return _previous().keys()


def newest_revision() -> str | None:
    """The revision that no other one follows."""
    followed = {each for earlier in _previous().values() for each in earlier}
    return max(known_revisions() - followed, default=None)


@cache
def _previous() -> dict[str, frozenset[str]]:
    """Each revision with those that it follows."""
    return dict(_assigned(path.read_text("utf-8")) for path in _VERSIONS.glob("*.py"))


def _assigned(script: str) -> tuple[str, frozenset[str]]:
    """`revision`, and `down_revision`: None, a text, or several."""
    values = {name: ast.literal_eval(value.strip()) for name, value in _NAMES.findall(script)}
    earlier = values.get("down_revision") or ()
    return values["revision"], frozenset([earlier] if isinstance(earlier, str) else earlier)


def _present(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(_PRESENT)
    return found
