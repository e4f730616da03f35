"""Scenarios with CUSTODY=postgres, in which Redis, Postgres or both are lost."""
