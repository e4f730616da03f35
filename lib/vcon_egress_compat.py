"""vCons as they leave: with JSON bodies as text or as values, or in the old form of 0.0.1.

Under vcon-server's names. A plugin that hands a vCon to another program (a webhook, a database that
others read) passes it through `to_configured_legacy` first.
"""

from typing import Any

from pipeline.vcon.normalization import LEGACY_VERSIONS, outgoing, to_legacy
from schemas.vcon import TEXT_FORM

__all__ = ["SUPPORTED_VERSIONS", "configure", "to_configured_legacy", "to_legacy"]

SUPPORTED_VERSIONS = set(LEGACY_VERSIONS)
"""The old forms there is a way back to."""

_version = TEXT_FORM


def configure(version: str) -> None:
    """The form of vCons that leave this process (EGRESS_FORMAT_VERSION)."""
    global _version  # noqa: PLW0603 -- set once at start, before any plugin is loaded
    _version = version


def to_configured_legacy(vcon_dict: dict[str, Any]) -> dict[str, Any]:
    """The vCon in the form of EGRESS_FORMAT_VERSION."""
    return outgoing(vcon_dict, _version)
