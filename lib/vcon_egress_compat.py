"""The format of outgoing vCons: JSON bodies as text or as values, or the old format 0.0.1.

The names are vcon-server's. A plugin that passes a vCon to another program (a webhook, a shared
database) converts it with `to_configured_legacy` first.
"""

from typing import Any

from pipeline.vcon.normalization import LEGACY_VERSIONS, outgoing, to_legacy
from schemas.vcon import TEXT_FORM

__all__ = ["SUPPORTED_VERSIONS", "configure", "to_configured_legacy", "to_legacy"]

SUPPORTED_VERSIONS = set(LEGACY_VERSIONS)
"""The old formats to which a vCon can be converted."""

_version = TEXT_FORM


def configure(version: str) -> None:
    """Set the format of this process's outgoing vCons (EGRESS_FORMAT_VERSION)."""
    global _version  # noqa: PLW0603 -- set once at start, before any plugin is loaded
    _version = version


def to_configured_legacy(vcon_dict: dict[str, Any]) -> dict[str, Any]:
    """The vCon in the format EGRESS_FORMAT_VERSION."""
    return outgoing(vcon_dict, _version)
