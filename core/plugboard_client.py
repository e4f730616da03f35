"""`PlugboardClient` under its documented name; `core.plugboard.client` has the code."""

from core.plugboard.client import PlugboardClient

__all__ = ["PlugboardClient"]
