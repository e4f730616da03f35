"""draft-howe-vcon-lawful-basis-02."""

from pipeline.law.basis.profiles.profile import Profile

PROFILE = Profile("lb-02", attachment="lawful_basis", grants="purpose_grants", basis=None)
