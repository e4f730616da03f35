"""What is asked: a purpose at a time under a policy, and which texts and bases count for it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.config.law import BasisPolicy
from pipeline.law.basis.decision import BASES
from pipeline.law.basis.profiles import PROFILES
from pipeline.law.basis.profiles.profile import Profile


class Question(NamedTuple):
    """One question to one vCon. `now` is in seconds since 1970."""

    purpose: str
    now: float
    policy: BasisPolicy
    profile: Profile
    parties: int
    dialogs: int
    grants_count: bool
    """Whether grants in the vCon count: not in an unsigned one where only signed ones do."""

    def asks(self, purpose: object) -> bool:
        """Whether a grant of this purpose answers the question."""
        if not isinstance(purpose, str):
            return False
        return purpose == self.purpose or self.policy.aliases.get(purpose) == self.purpose

    def asks_denial(self, purpose: object) -> bool:
        """Whether a denial of it does: also in other capitals, or with spaces around it."""
        return self.asks(purpose) or (
            isinstance(purpose, str) and purpose.strip().casefold() == self.purpose.casefold()
        )

    def is_about(self, grant: Mapping[str, Any]) -> bool:
        """Whether a grant or denial, as a body has it, is of the purpose."""
        purpose = grant.get("purpose")
        return self.asks(purpose) if grant.get("granted") is True else self.asks_denial(purpose)

    def accepts(self, basis: object) -> bool:
        """Whether the policy accepts this lawful basis."""
        bases = self.policy.bases
        return isinstance(basis, str) and basis in BASES and (bases is None or basis in bases)

    def is_over(self, moment: float) -> bool:
        """Whether a time has passed, by any clock within the skew."""
        return self.now > moment + self.policy.skew

    def is_ahead(self, moment: float) -> bool:
        """Whether a time is in the future, by any clock within the skew."""
        return moment > self.now + self.policy.skew


def asked(
    document: Mapping[str, Any], purpose: str, now: float, policy: BasisPolicy, *, signed: bool
) -> Question:
    """The question to this vCon; a purpose that is an alias is the one that it means."""
    return Question(
        purpose=policy.aliases.get(purpose, purpose),
        now=now,
        policy=policy,
        profile=PROFILES[policy.profile],
        parties=_count(document.get("parties")),
        dialogs=_count(document.get("dialog")),
        grants_count=signed or not policy.signed_only,
    )


def _count(listed: object) -> int:
    return len(listed) if isinstance(listed, list) else 0
