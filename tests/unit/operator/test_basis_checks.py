"""What is refused or noted before a basis is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config.law import BasisPolicy, EgressLaw, Law
from pipeline.config.model import Chain, PipelineConfig, PluginSpec
from pipeline.operator.law.basis_checks import address_fault, address_note, purpose_doubt
from pipeline.vcon.party_terms import normal

STEPS: dict[str, Any] = {
    "links": {"a": PluginSpec("a", "a", requires="transcription"), "b": PluginSpec("b", "b")},
    "storages": {},
    "tracers": {"t": PluginSpec("t", "t", requires="audit")},
    "chains": {"main": Chain("main", egress=EgressLaw(requires="redistribution"))},
}


@pytest.mark.parametrize(
    ("purpose", "granted", "refused", "noted"),
    [
        ("transcription", True, "", ""),
        ("audit", True, "", ""),
        ("redistribution", False, "", ""),
        ("asr", True, "", ""),
        ("transcripton", True, "did you mean 'transcription'?", ""),
        ("Transcription", True, "did you mean 'transcription'?", ""),
        ("Transcription", False, "", ""),
        ("ars", False, "did you mean 'asr'?", ""),
        ("transcribing", True, "", "did you mean 'transcription'?"),
        ("ai_training", True, "", "steps require 'audit', 'redistribution', 'transcription'"),
        ("de\u0301mo", False, "", "'de\\u0301mo'"),
    ],
)
def test_a_purpose_is_compared_with_those_of_the_configuration(
    purpose: str, granted: bool, refused: str, noted: str
) -> None:
    """A slip is refused; one that nothing asks for is noted, with what it may be."""
    law = Law(basis=BasisPolicy(aliases={"asr": "transcription"}))
    found = purpose_doubt(purpose, PipelineConfig(law=law, **STEPS), granted=granted)
    for said, expected in zip(found, (refused, noted), strict=True):
        assert expected in said
        assert bool(said) == bool(expected)


def test_without_a_step_that_requires_anything() -> None:
    """Every purpose is noted."""
    none = PipelineConfig(**{name: {} for name in STEPS})
    assert "no step" in purpose_doubt("crm", none, granted=True)[1]


@pytest.mark.parametrize(
    ("name", "value", "fault", "note"),
    [
        ("tel", "(201) 555-0123", "", ""),
        ("tel", "sip:+12015550123@example.org", "", ""),
        ("tel", "sip:ann2@example.org", "", "no number of a numbering plan"),
        ("tel", "4711", "", "no number of a numbering plan (PHONE_REGION=US)"),
        ("tel", "ACME", "", "country code"),
        ("tel", "ann@example.org", "it is a mail address", "numbering plan"),
        ("tel", "!", "neither digits nor letters", "numbering plan"),
        ("mailto", "Ann <ann@Example.org>", "", ""),
        ("mailto", "mailto:ann@example.org", "", ""),
        ("mailto", "mallory", "expected one address", ""),
        ("mailto", "mallory@", "expected one address", ""),
        ("mailto", "@example.net", "expected one address", ""),
        ("mailto", "a@x.example, b@y.example", "expected one address", ""),
        ("mailto", "+12015550123", "it is a number", ""),
    ],
)
def test_a_number_or_address(name: Any, value: str, fault: str, note: str) -> None:
    """What no person can have is a fault; what may be a number is noted, without the number."""
    form = normal(name, value, "US")
    for said, expected in zip(
        (address_fault(name, value, form), address_note(name, form, "US")),
        (fault, note),
        strict=True,
    ):
        assert expected in said
        assert bool(said) == bool(expected)
        assert value not in said
