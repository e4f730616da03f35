"""What allowed a delivery."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Basis:
    """What allows a purpose, as the profile says; None where nothing was required."""

    purpose: str | None = None
    profile: str | None = None
    place: str | None = None


NO_BASIS = Basis()
