"""Re-exports `PlugboardClient` under its documented name."""

from core.plugboard.client import PlugboardClient

__all__ = ["PlugboardClient"]
