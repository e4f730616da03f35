"""`database` under its documented name; `core.db.database` has the code."""

from core.db.database import Database, base, database

__all__ = ["Database", "base", "database"]
