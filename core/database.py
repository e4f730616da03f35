"""Re-exports `core.db.database` under its documented name."""

from core.db.database import Database, base, database

__all__ = ["Database", "base", "database"]
