"""How one version of the draft writes a basis."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """Names in one version. Attachments of the other versions can deny, and never grant."""

    name: str
    attachment: str
    """The `purpose`, in older vCons the `type`, of an attachment."""
    grants: str
    """The member of its body that lists the grants."""
    basis: str | None
    """The lawful basis of all its attachments; None: the body tells it."""
