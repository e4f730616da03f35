"""The revision of the database, and those of this version, without Alembic and SQLAlchemy.

Every process asks for them when it starts, and each of the two takes long to import.
"""

import ast
import re
from collections.abc import Sequence, Set
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

NO_REVISION = "none"
ALEMBIC_INI = Path(__file__).resolve().parents[2] / "alembic.ini"
_VERSIONS = ALEMBIC_INI.parent / "alembic" / "versions"
_MIGRATE = "run `alembic upgrade head`, or set MIGRATE_ON_START=true"
_NAMES = re.compile(r"^(revision|down_revision)\b[^=\n]*=(.*)$", re.MULTILINE)
TABLES = (
    "audit_events",
    "chain_runs",
    "custody",
    "failure_causes",
    "ingress_keys",
    "ingress_usage",
    "law_bases",
    "law_checkpoints",
    "law_deliveries",
    "law_erasure_targets",
    "law_erasures",
    "law_events",
    "law_salts",
    "law_tombstones",
    "law_versions",
    "redis_identity",
    "service_secrets",
    "services",
    "tokens",
    "vcon_index",
    "vcon_owners",
)
"""The tables of this version."""


def revision_over(connection: psycopg.Connection[Any]) -> str:
    """The revision of the database, within the transaction of a connection."""
    is_there = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    if is_there == (False,):
        return NO_REVISION
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else NO_REVISION


def is_known(revision: str) -> bool:
    """Whether this version has a revision; `none` is that of a database without tables."""
    return revision == NO_REVISION or revision in known_revisions()


def problem_of(present: str | None, missing: Sequence[str]) -> str | None:
    """What a database at a revision lacks, and what to do; None if it is complete.

    An unknown revision is one of a later version, which has all tables of this version.
    """
    newest = newest_revision()
    if present != newest and (present is None or is_known(present)):
        return f"at revision {present or NO_REVISION}, not {newest}; {_MIGRATE}"
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
