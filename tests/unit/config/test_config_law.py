"""The section `law`, and what links, storages, tracers and chains say about it."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import ConfigurationError
from pipeline.config.changes import losses
from pipeline.config.law import ALGORITHMS, BasisPolicy, EgressLaw, Law, Trust
from pipeline.config.parser import PipelineConfig, parse
from pipeline.config.reports import law_notes
from tests.law_keys import (
    certificate_pem,
    ec_key,
    ed25519_key,
    private_pem,
    public_pem,
    rsa_key,
)

PRIVATE, CERTIFICATE = private_pem(ec_key()), certificate_pem(ec_key())
PIN = "ab" * 32
DOCUMENT: dict[str, Any] = {
    "law": {
        "basis": {},
        "trust": {"anchors": [CERTIFICATE]},
        "keys": {
            "in_2026": {"private": PRIVATE, "chain": CERTIFICATE},
            "bare": {"private": PRIVATE},
            "signs": {"private": private_pem(ed25519_key())},
        },
    },
    "links": {"transcribe": {"module": "m", "requires": {"purpose": "transcription"}}},
    "storages": {
        "crm": {
            "module": "m",
            "requires": {"purpose": "redistribution"},
            "erase": {"url": "https://crm.example/erase", "sign_with": "in_2026"},
        }
    },
    "tracers": {"t": {"module": "m", "requires": {"purpose": "recording"}}},
    "chains": {
        "main": {
            "links": ["transcribe"],
            "storages": ["crm"],
            "ingress_lists": ["in"],
            "egress_lists": ["out"],
            "verify": "required",
            "decrypt_with": ["in_2026"],
            "custody": 1,
            "egress": {
                "requires": {"purpose": "redistribution"},
                "sign_with": "in_2026",
                "layout": "both",
                "encrypt_for": [CERTIFICATE, public_pem(ec_key("other"))],
            },
        }
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """The document with another value at `section__entry__key`; `...` removes the key."""
    document = deepcopy(DOCUMENT)
    *way, last = path.split("__")
    place = document
    for key in way:
        place = place.setdefault(key, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def parsed(document: dict[str, Any], **environ: str) -> PipelineConfig:
    """The configuration of a document."""
    return parse(document, environ)


def test_what_a_file_says_is_what_the_values_have() -> None:
    """Names are resolved to keys; links, storages, tracers and chains have their purposes."""
    config = parsed(DOCUMENT)
    chain, law = config.chains["main"], config.law
    assert law is not None
    assert law.basis == BasisPolicy()
    assert law.trust == Trust(anchors=(CERTIFICATE,), algorithms=ALGORITHMS)
    key = law.keys["in_2026"]
    assert (key.private, key.chain, law.keys["bare"].chain) == (PRIVATE, CERTIFICATE, "")
    assert [chain.links[0].requires, chain.links[0].plugin.requires] == ["transcription"] * 2
    assert chain.storages[0].requires == "redistribution"
    assert chain.tracers[0].requires == "recording"
    assert (chain.verify, chain.decrypt_with, chain.custody) == ("required", (key,), True)
    recipients = (CERTIFICATE, public_pem(ec_key("other")))
    assert chain.egress == EgressLaw("redistribution", key, "both", recipients)
    erase = chain.storages[0].erase
    assert erase is not None
    assert (erase.url, erase.sign_with, erase.timeout) == ("https://crm.example/erase", key, 30.0)
    assert config.notes == ()


def test_every_value_of_the_section_can_be_given() -> None:
    """Also the switches that YAML makes of `off`, and fingerprints with colons."""
    law = parsed(
        {
            "law": {
                "basis": {
                    "profile": "consent-00",
                    "scope": "each",
                    "conflicts": "latest",
                    "skew": 0,
                    "bases": ["consent", "contract"],
                    "conditions": "deny",
                    "proofs": False,
                    "signed_only": 1,
                    "aliases": {"Transcription": "transcription"},
                },
                "trust": {
                    "pinned": [PIN, ":".join(["AB"] * 32), "cd" * 32],
                    "legacy_chains": 1,
                    "algorithms": ["ES256"],
                },
                "extensions": ["lawful_basis"],
                "ledger": {"checkpoint_every": 5},
            }
        }
    ).law
    bases = frozenset({"consent", "contract"})
    alias = {"Transcription": "transcription"}
    policy = BasisPolicy("consent-00", "each", "latest", 0, bases, "deny", "off", True, alias)
    trust = Trust((), (PIN, "cd" * 32), True, ("ES256",))
    assert law == Law(policy, trust, {}, ("lawful_basis",), 5)


def test_without_the_section_there_is_no_law() -> None:
    """Absent, null and empty are the same; `basis: {}` is the basis with its defaults."""
    absent: list[dict[str, Any]] = [{}, {"law": None}, {"law": {}}]
    assert [parsed(each).law for each in absent] == [None] * 3
    assert parsed({"law": {"basis": {}}}).law == Law(BasisPolicy())
    assert parsed({"law": {"basis": {"proofs": "off", "bases": "all"}}}).law == Law(BasisPolicy())


PROBLEMS = [
    ("law__basis", ..., "links.transcribe.requires: needs law.basis"),
    ("law__basis__profile", "lb-03", "must be lb-02 or consent-00"),
    ("law__basis__scope", "all", "must be any or each"),
    ("law__basis__conflicts", "first", "must be strictest or latest"),
    ("law__basis__skew", 301, "a number of seconds from 0 to 300"),
    ("law__basis__skew", -1, "a number of seconds from 0 to 300"),
    ("law__basis__skew", True, "a number of seconds from 0 to 300"),
    ("law__basis__bases", ["consnt"], "law.basis.bases[0]: 'consnt' is no lawful basis; did you"),
    ("law__basis__bases", [], "is empty, so every step would be denied"),
    ("law__basis__bases", "consent", "must be all, or a list of"),
    ("law__basis__conditions", "off", "must be allow or deny"),
    ("law__basis__proofs", "on", "must be off or require"),
    ("law__basis__aliases", {"a": 1}, "law.basis.aliases.a: must be a text"),
    ("law__basis__aliases", {f"a{n}": "b" for n in range(257)}, "at most 256"),
    ("law__basis__profil", "lb-02", "did you mean 'profile'"),
    ("law__trust__anchors", ["nonsense"], "law.trust.anchors[0]: must be one or more cert"),
    ("law__trust__anchors", [PRIVATE], "must be one or more certificates"),
    ("law__trust__anchors", [7], "law.trust.anchors[0]: must be a text in PEM"),
    ("law__trust__anchors", ["x" * 100_001], "has more than 100000 characters"),
    ("law__trust__anchors", CERTIFICATE, "law.trust.anchors: must be a list"),
    ("law__trust__pinned", ["abcd"], "law.trust.pinned[0]: must be the SHA-256"),
    ("law__trust__algorithms", ["HS256"], "'HS256' is no signature algorithm"),
    ("law__trust__algorithms", ["none"], "'none' is no signature algorithm"),
    ("law__trust__algorithms", [], "at least one of"),
    ("law__trust__anchors", ..., "chains.main.verify: needs law.trust.anchors"),
    ("law__keys__bare", {}, "law.keys.bare.private: is missing"),
    ("law__keys__bare__private", CERTIFICATE, "law.keys.bare.private: must be a private key"),
    ("law__keys__bare__private", private_pem(rsa_key(1024)), "has 1024 bits"),
    ("law__keys__bare__chain", certificate_pem(ec_key("x")), "that of the private key"),
    ("law__keys__bare__chain", CERTIFICATE * 9, "has 9 certificates"),
    ("law__ledger__checkpoint_every", 0, "a whole number from 1"),
    ("law__extensions", [""], "law.extensions[0]: must be a text"),
    ("links__transcribe__requires", {}, "links.transcribe.requires.purpose: is missing"),
    ("links__transcribe__requires", "transcription", "requires: must be a mapping"),
    ("links__transcribe__requires", {"purpose": "x" * 201}, "at most 200 characters"),
    ("storages__crm__erase__url", "ftp://crm.example", "must be a URL with http or https"),
    ("storages__crm__erase__url", "https://[", "must be a URL with http or https"),
    ("storages__crm__erase__sign_with", ..., "sign_with: is missing; the message is signed"),
    ("storages__crm__erase__sign_with", "in_2025", "law.keys has no 'in_2025'; did you mean"),
    ("chains__main__verify", "always", "must be off, report or required"),
    ("chains__main__decrypt_with", ["in_2025"], "chains.main.decrypt_with[0]: law.keys has no"),
    ("chains__main__decrypt_with", ["signs"], "'signs' is an Ed25519 key"),
    ("chains__main__egress__sign_with", "bare", "'bare' has no chain"),
    ("chains__main__egress__sign_with", ..., "chains.main.egress.encrypt_for: needs sign_with"),
    ("chains__main__egress__layout", "rfc", "must be rfc7515, wg or both"),
    ("chains__main__egress__encrypt_for", [CERTIFICATE * 2], "without its chain"),
    ("chains__main__egress__encrypt_for", [public_pem(ed25519_key())], "signs only"),
]


@pytest.mark.parametrize(("path", "value", "text"), PROBLEMS)
def test_what_would_fail_later_is_a_problem_of_the_file(
    path: str, value: object, text: str
) -> None:
    """With its place, what is wrong, and what would be right; a key is never shown."""
    with pytest.raises(ConfigurationError) as caught:
        parsed(changed(path, value))
    shown = "\n".join(caught.value.problems)
    assert text in shown
    assert "PRIVATE KEY-----\n" not in shown


def test_an_encrypting_chain_with_a_gate_needs_a_key() -> None:
    """The basis of an encrypted vCon is inside, so every step with `requires` would be denied."""
    document = changed("chains__main__decrypt_with", ...)
    assert parsed(document).law
    document["chains"]["main"]["allow_envelopes"] = 1
    with pytest.raises(ConfigurationError, match=r"allow_envelopes: needs decrypt_with: 'transcri"):
        parsed(document)


def test_an_unknown_purpose_is_a_note_with_the_one_that_may_be_meant() -> None:
    """An alias that leads to it says that it is meant."""
    document = changed("links__transcribe__requires", {"purpose": "transcripton"})
    [note] = parsed(document).notes
    assert note.startswith("links.transcribe.requires.purpose: 'transcripton' is no purpose")
    assert "did you mean 'transcription'?" in note
    document["law"]["basis"]["aliases"] = {"to text": "transcripton"}
    assert parsed(document).notes == ()


def test_keys_come_from_the_environment_in_one_line_too() -> None:
    """Line breaks may be written as backslash and n; no `repr` shows a private key."""
    document = changed("law__keys__in_2026__private", "${env.K}")
    config = parsed(document, K=PRIVATE.replace("\n", "\\n"))
    assert config.law is not None
    assert config.law.keys["in_2026"].private == PRIVATE
    assert "PRIVATE KEY" not in repr(config)
    with pytest.raises(ConfigurationError, match="the environment has no K"):
        parsed(document)


def test_the_law_moves_the_hash_of_a_configuration_that_has_it_alone() -> None:
    """Each key of the law is part of the content; without them nothing of it is."""
    plain: dict[str, Any] = {"links": {"a": {"module": "m"}}, "chains": {"c": {"links": ["a"]}}}
    content = parsed(plain).content
    assert not any(word in content for word in (b"requires", b"custody", b"verify", b"egress'"))
    seen = {content, parsed(DOCUMENT).content}
    changes = (
        ("law__basis__skew", 1),
        ("law__trust__pinned", [PIN]),
        ("law__extensions", ["x"]),
        ("links__transcribe__requires", {"purpose": "recording"}),
        ("tracers__t__requires", {"purpose": "analysis"}),
        ("storages__crm__erase__url", "https://other.example"),
        ("chains__main__custody", 0),
        ("chains__main__egress__layout", "wg"),
        ("chains__main__verify", "report"),
        ("chains__main__decrypt_with", ["bare"]),
    )
    seen |= {parsed(changed(*change)).content for change in changes}
    assert len(seen) == len(changes) + 2


LOST = [
    ("links__transcribe__requires", ..., "links.transcribe: requires is gone"),
    ("storages__crm__requires", ..., "storages.crm: requires is gone"),
    ("tracers__t__requires", ..., "tracers.t: requires is gone"),
    ("chains__main__verify", ..., "chains.main.verify: no longer required"),
    ("chains__main__verify", "report", "chains.main.verify: no longer required"),
    ("chains__main__custody", ..., "chains.main.custody: is gone"),
    ("chains__main__egress__encrypt_for", ..., "chains.main.egress: encrypt_for is gone"),
    ("chains__main__egress__requires", ..., "chains.main.egress: requires is gone"),
]


@pytest.mark.parametrize(("path", "value", "lost"), LOST)
def test_a_partly_written_file_takes_no_demand_away(path: str, value: object, lost: str) -> None:
    """Its change is held back until it is seen twice; the same demand in other words is none."""
    whole, other = parsed(DOCUMENT), parsed(changed(path, value))
    assert losses(whole, other) == [lost]
    assert losses(other, whole) == []


def test_what_is_demanded_otherwise_is_no_loss() -> None:
    """Another purpose, a removed link, and a stricter policy; a policy with its defaults is one."""
    whole = parsed(DOCUMENT)
    assert losses(whole, parsed(changed("links__transcribe__requires__purpose", "training"))) == []
    without = changed("links", {"other": {"module": "m"}})
    without["chains"]["main"]["links"] = []
    assert losses(whole, parsed(without)) == []
    strict = parsed(changed("law__basis", {"signed_only": 1, "bases": ["consent"]}))
    assert losses(whole, strict) == []
    assert losses(strict, whole) == [
        "law.basis.bases: has its default again",
        "law.basis.signed_only: has its default again",
    ]


def test_check_tells_what_is_demanded_and_which_certificates_end() -> None:
    """Each step with its purpose; a certificate that ended, soon ends or is not valid yet."""
    config, now = parsed(DOCUMENT), datetime.now(UTC)
    demanded, *ends = law_notes(config, now)
    assert demanded == (
        "law: requires, by lb-02: links.transcribe (transcription), storages.crm "
        "(redistribution), tracers.t (recording), chains.main.egress (redistribution)"
    )
    day = f"{now + timedelta(days=1):%Y-%m-%d}"
    assert ends[0] == f"law.trust.anchors[0]: expires on {day}"
    assert [each.partition(":")[0] for each in ends[1:]] == [
        "law.keys.in_2026.chain",
        "chains.main.egress.encrypt_for[0]",
        "law.trust.anchors[0]",  # it has no key usage
    ]
    assert law_notes(config, now - timedelta(days=25))[1].startswith("law.trust.anchors[0]: valid")
    assert "expired on" in law_notes(config, now + timedelta(days=25))[1]
    assert law_notes(parsed({}), now) == []
