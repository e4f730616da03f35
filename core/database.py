"""Re-exports `core.db.database` under its documented name."""

from core.db.database import Database, base, database, get_database_url

__all__ = ["Database", "base", "database", "get_database_url"]
