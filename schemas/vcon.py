"""A vCon as this service speaks of it: the document, its versions, and what is wrong with it.

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
"""What marks a vCon that told no `created_at`: the one that it has is the time of its receipt."""

CONTAINERS = ("parties", "dialog", "analysis", "attachments")
"""The lists of objects that every vCon may have."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a vCon: where (`dialog[0].parties[1]`; empty for the whole), and what.

    An error refuses the vCon; a warning is only worth telling.
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
