"""Types of a vCon: the document, its versions, and findings about it.

The document stays a plain dict. A model would drop or reorder what the drafts do not know, and
what links and vendors add must come back as it went in.
"""

from dataclasses import dataclass
from typing import Any, Literal

type Document = dict[str, Any]
"""A vCon as parsed from JSON."""

type Entry = dict[str, Any]
"""One party, dialog, analysis or attachment of it."""

Severity = Literal["error", "warning"]

CANONICAL_VERSION = "0.4.0"
TEXT_FORM = "0.4.0-text"
"""The form in which vCons are kept: 0.4.0 with JSON bodies as text, as vcon-server has them."""

KNOWN_VERSIONS = frozenset({"0.0.1", "0.0.2", "0.1.0", "0.2.0", "0.3.0", CANONICAL_VERSION})

RECEIVED = {"created_at_source": "receipt"}
"""Marks a vCon that came without `created_at`: its value is the time of receipt."""

TOLD_BY_UUID = {"created_at_source": "uuid"}
"""The same for one whose uuid, of version 7 or 8, has the time."""
SOURCES = (RECEIVED["created_at_source"], TOLD_BY_UUID["created_at_source"])

CONTAINERS = ("parties", "dialog", "analysis", "attachments")
"""The lists of objects that every vCon may have."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding about a vCon: where (`dialog[0].parties[1]`; empty for the whole), and what.

    An error refuses the vCon; a warning is returned with the answer.
    """

    severity: Severity
    path: str
    message: str

    @property
    def refuses(self) -> bool:
        """Whether a vCon with this finding is turned away."""
        return self.severity == "error"

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message
