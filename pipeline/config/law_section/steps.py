"""What links, storages, tracers and chains say about the law: purposes, keys, erasure, egress."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pipeline.config.environment import Where
from pipeline.config.law import (
    TELLING_SECONDS,
    EgressLaw,
    EraseSpec,
    Law,
    LawKey,
    Layout,
    Verify,
)
from pipeline.config.law_section import pem
from pipeline.config.law_section.reading import NAME, choice, recipients
from pipeline.config.model import Chain, LinkStep, PluginSpec
from pipeline.config.sections import SECONDS, SWITCH, TEXT, Findings, Section, meant, suggestion

PURPOSES = (
    "ai_training",
    "analysis",
    "quality assurance",
    "recording",
    "redistribution",
    "sentiment_analysis",
    "training",
    "transcription",
)
"""Purposes that the drafts and their implementations use; any other text may be one, too."""
MOST_RECIPIENTS = 64
"""Recipients of one encrypted vCon."""
LONGEST_URL = 2000
NO_LAW = Law()


def read_requires(entry: Section, law: Law | None) -> str | None:
    """The purpose below `requires`: what a vCon must have a basis for; None without the key."""
    if entry.raw("requires") is None:
        return None
    section = entry.section("requires")
    purpose: str | None = section.required("purpose", NAME, "") or None
    section.note_unread()
    if law is None or law.basis is None:
        text = "needs law.basis, which says how a basis is evaluated; `basis: {}` has the defaults"
        entry.findings.problem((*entry.where, "requires"), text)
    elif purpose is not None:
        _note_unknown((*section.where, "purpose"), purpose, law, entry.findings)
    return purpose


def _note_unknown(where: Where, purpose: str, law: Law, findings: Findings) -> None:
    """Remark on a purpose that no draft uses, unless `law.basis.aliases` has it."""
    known = {*PURPOSES, *(law.basis.aliases.values() if law.basis else ())}
    if purpose in known:
        return
    near = meant(purpose, known)
    question = f"; did you mean {near!r}?" if near else ":"
    text = (
        f"{purpose!r} is no purpose of the drafts{question} a vCon must grant exactly this text; "
        "an alias in law.basis.aliases that leads to it ends this note"
    )
    findings.note(where, text)


def read_erase(entry: Section, law: Law | None) -> EraseSpec | None:
    """`erase`: where the receiver of a step is told of erasures; None without the key."""
    if entry.raw("erase") is None:
        return None
    section = entry.section("erase")
    url = section.required("url", TEXT, "")
    timeout = section.value("timeout", SECONDS, None) or TELLING_SECONDS
    headers = _headers(section.section("headers"))
    signer = _signer(section, law or NO_LAW)
    section.note_unread()
    if url and (problem := _url_problem(url)):
        section.findings.problem((*section.where, "url"), problem)
        return None
    return EraseSpec(url, signer, headers, timeout) if url and signer else None


def _headers(section: Section) -> dict[str, str]:
    return {name: section.value(name, TEXT, "") for name in section}


def _signer(section: Section, law: Law) -> LawKey | None:
    """The key that signs what is sent: the named one, or the only key that there is."""
    if section.raw("sign_with") is not None:
        return _named_key(section, "sign_with", law)
    if len(law.keys) == 1:
        return next(iter(law.keys.values()))
    wanted = "name one of law.keys" if law.keys else "law.keys has none"
    text = f"is missing; the message is signed: {wanted}"
    section.findings.problem((*section.where, "sign_with"), text)
    return None


def _url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(url) > LONGEST_URL or any(each <= " " for each in url):
        return f"must be a URL with http or https and a host, at most {LONGEST_URL} characters"
    return None


def chain_law(entry: Section, law: Law | None) -> dict[str, Any]:
    """The fields of a chain that are about the law."""
    known = law or NO_LAW
    fields = {
        "verify": entry.value("verify", choice(Verify), "off"),
        "decrypt_with": _decrypt_with(entry, known),
        "custody": entry.value("custody", SWITCH, default=False),
        "egress": _egress(entry, law),
    }
    if fields["verify"] != "off":
        _check_trust(entry, known, required=fields["verify"] == "required")
    return fields


def check_envelopes(chain: Chain, entry: Section) -> None:
    """An encrypted vCon has no basis that could be read, so every step with `requires` is denied.

    A chain that accepts encrypted vCons and has such a step needs a key.
    """
    if not chain.allow_envelopes or chain.decrypt_with:
        return
    steps: tuple[LinkStep | PluginSpec, ...] = (*chain.links, *chain.storages, *chain.tracers)
    gated = [repr(each.name) for each in steps if each.requires]
    if chain.egress and chain.egress.requires:
        gated.append("its egress")
    if gated:
        text = f"needs decrypt_with: {gated[0]} has requires, and the basis is inside the envelope"
        entry.findings.problem((*entry.where, "allow_envelopes"), text)


def _check_trust(entry: Section, law: Law, *, required: bool) -> None:
    """Without any anchor no signature can be trusted."""
    if law.trust.anchors or law.trust.pinned:
        return
    where = (*entry.where, "verify")
    if required:
        text = "needs law.trust.anchors or law.trust.pinned: without them every vCon is refused"
        entry.findings.problem(where, text)
    else:
        text = "law.trust has neither anchors nor pinned: no signature will be trusted"
        entry.findings.note(where, text)


def _decrypt_with(entry: Section, law: Law) -> tuple[LawKey, ...]:
    found: dict[str, LawKey] = {}
    for where, name in entry.entries("decrypt_with"):
        key = _key_named(where, name, law.keys, entry.findings)
        if key is not None and not pem.can_decrypt(key.private):
            text = f"{key.name!r} is an Ed25519 key, which cannot decrypt; name an RSA or EC key"
            entry.findings.problem(where, text)
        elif key is not None:
            found[key.name] = key
    return tuple(found.values())


def _egress(entry: Section, law: Law | None) -> EgressLaw | None:
    if isinstance(entry.raw("egress"), list | str):
        text = "not a known key; did you mean 'egress_lists'?"
        entry.findings.problem((*entry.where, "egress"), text)
        return None
    if entry.raw("egress") is None:
        return None
    section = entry.section("egress")
    signer = _named_key(section, "sign_with", law or NO_LAW)
    egress = EgressLaw(
        requires=read_requires(section, law),
        sign_with=signer,
        layout=section.value("layout", choice(Layout), "rfc7515"),
        encrypt_for=recipients(section, "encrypt_for"),
    )
    _check_signing(section, egress)
    section.note_unread()
    if not entry.raw("egress_lists"):
        entry.findings.note(section.where, "the chain has no egress_lists, so it has no effect")
    return egress


def _check_signing(section: Section, egress: EgressLaw) -> None:
    """What is encrypted must be signed first, and a signature needs certificates."""
    findings, signer = section.findings, egress.sign_with
    if signer is not None and not signer.chain:
        text = f"{signer.name!r} has no chain, and a signature names its certificates"
        findings.problem((*section.where, "sign_with"), text)
    if section.raw("sign_with") is None:
        for key in ("layout", "encrypt_for"):
            if section.raw(key) is not None:
                text = "needs sign_with: a vCon is signed before it is encrypted"
                findings.problem((*section.where, key), text)
    if len(egress.encrypt_for) > MOST_RECIPIENTS:
        count = len(egress.encrypt_for)
        text = f"has {count} recipients, at most {MOST_RECIPIENTS} are allowed"
        findings.problem((*section.where, "encrypt_for"), text)


def _named_key(section: Section, name: str, law: Law) -> LawKey | None:
    content = section.raw(name)
    if content is None:
        return None
    return _key_named((*section.where, name), content, law.keys, section.findings)


def _key_named(
    where: Where, name: object, keys: Mapping[str, LawKey], findings: Findings
) -> LawKey | None:
    if not isinstance(name, str):
        findings.text_wanted(where, "must be the name of a key of law.keys", name)
    elif name not in keys:
        findings.problem(where, f"law.keys has no {name!r}; {suggestion(name, keys)}")
    else:
        return keys[name]
    return None
