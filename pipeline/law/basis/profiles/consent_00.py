"""draft-howe-vcon-consent-00, which the lawful-basis draft has replaced."""

from pipeline.law.basis.profiles.profile import Profile

PROFILE = Profile("consent-00", attachment="consent", grants="consent_grants", basis="consent")
