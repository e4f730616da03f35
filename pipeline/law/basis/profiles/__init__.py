"""The versions of the draft, a file each, by the names that a configuration uses."""

from collections.abc import Mapping

from pipeline.law.basis.profiles import consent_00, lb_02
from pipeline.law.basis.profiles.profile import Profile

PROFILES: Mapping[str, Profile] = {each.name: each for each in (lb_02.PROFILE, consent_00.PROFILE)}
