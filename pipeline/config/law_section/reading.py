"""The section `law`: how bases are evaluated, whose signatures count, and the keys of the law."""

import re
from collections.abc import Callable
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field, TypeAdapter

from pipeline.config.environment import Where
from pipeline.config.law import (
    ALGORITHMS,
    CHECKPOINT_EVERY,
    LARGEST_SKEW,
    BasisPolicy,
    Conditions,
    Conflicts,
    Law,
    LawKey,
    Profile,
    Proofs,
    Scope,
    Trust,
)
from pipeline.config.law_section import pem
from pipeline.config.sections import SWITCH, TEXT, Kind, Section, suggestion

BASES = (
    "consent",
    "contract",
    "legal_obligation",
    "vital_interests",
    "public_task",
    "legitimate_interests",
)
"""The lawful bases of the draft."""
ACCEPTED = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
"""Signature algorithms that may be named: asymmetric ones only."""
LONGEST_CHAIN = 8
"""Certificates of one key's chain."""
MOST = 256
"""Anchors, pinned certificates, keys, extensions and aliases, of each."""
LONGEST_NAME = 200
"""Characters of a purpose, of an extension and of a key's name."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


def choice(form: Any) -> Kind[Any]:
    """One of the texts of a `Literal`. YAML reads `off` as false, which is accepted for it."""
    names = get_args(form.__value__)

    def spelled(value: object) -> object:
        return "off" if value is False and "off" in names else value

    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[form.__value__, BeforeValidator(spelled)])
    return Kind(adapter, f"{', '.join(names[:-1])} or {names[-1]}")


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a switch is no number")  # noqa: TRY004 -- Pydantic takes ValueError
    return value


SKEW: Kind[float] = Kind(
    TypeAdapter(
        Annotated[
            float, BeforeValidator(_number), Field(ge=0, le=LARGEST_SKEW, allow_inf_nan=False)
        ]
    ),
    f"a number of seconds from 0 to {LARGEST_SKEW:g}",
)
EVERY: Kind[int] = Kind(
    TypeAdapter(Annotated[int, BeforeValidator(_number), Field(ge=1, le=1_000_000)]),
    "a whole number from 1 to 1000000",
)
NAME: Kind[str] = Kind(
    TypeAdapter(Annotated[str, Field(strict=True, min_length=1, max_length=LONGEST_NAME)]),
    f"a text, not empty, with at most {LONGEST_NAME} characters",
)


def read_law(section: Section) -> Law | None:
    """The section, or None where the file has none."""
    if not list(section):
        return None
    law = Law(
        basis=None if section.raw("basis") is None else _basis(section.section("basis")),
        trust=_trust(section.section("trust")),
        keys=_keys(section.section("keys")),
        extensions=_names(section, "extensions"),
        checkpoint_every=_checkpoint_every(section.section("ledger")),
    )
    section.note_unread()
    return law


def _basis(section: Section) -> BasisPolicy:
    default = BasisPolicy()
    policy = BasisPolicy(
        profile=section.value("profile", choice(Profile), default.profile),
        scope=section.value("scope", choice(Scope), default.scope),
        conflicts=section.value("conflicts", choice(Conflicts), default.conflicts),
        skew=section.value("skew", SKEW, default.skew),
        bases=_bases(section),
        conditions=section.value("conditions", choice(Conditions), default.conditions),
        proofs=section.value("proofs", choice(Proofs), default.proofs),
        signed_only=section.value("signed_only", SWITCH, default.signed_only),
        aliases=_aliases(section.section("aliases")),
    )
    section.note_unread()
    return policy


def _bases(section: Section) -> frozenset[str] | None:
    """`all`, or a list of bases."""
    content = section.raw("bases")
    if content is None or content == "all":
        return None
    if not isinstance(content, list):
        text = f"must be all, or a list of: {', '.join(BASES)}"
        section.findings.problem((*section.where, "bases"), text)
        return None
    named = _names(section, "bases", BASES, "lawful basis")
    if not content:
        text = "is empty, so every step would be denied; write all, or name some"
        section.findings.problem((*section.where, "bases"), text)
    return frozenset(named)


def _aliases(section: Section) -> dict[str, str]:
    """What vCons have, and the purpose that is meant by it."""
    _bounded(section.where, len(list(section)), section)
    return {name: section.value(name, NAME, name) for name in section}


def _trust(section: Section) -> Trust:
    trust = Trust(
        anchors=_pem_list(section, "anchors", pem.certificate_texts),
        pinned=_pinned(section),
        legacy_chains=section.value("legacy_chains", SWITCH, default=False),
        algorithms=_algorithms(section),
    )
    section.note_unread()
    return trust


def _algorithms(section: Section) -> tuple[str, ...]:
    if section.raw("algorithms") is None:
        return ALGORITHMS
    found = _names(section, "algorithms", ACCEPTED, "signature algorithm that is accepted")
    if not found:
        text = f"must be a list with at least one of: {', '.join(ACCEPTED)}"
        section.findings.problem((*section.where, "algorithms"), text)
    return found


def _pinned(section: Section) -> tuple[str, ...]:
    """SHA-256 of certificates in hex, with or without colons between the bytes."""
    found: dict[str, None] = {}
    for where, given in _entries(section, "pinned"):
        digest = given.replace(":", "").strip().lower() if isinstance(given, str) else ""
        if _DIGEST.fullmatch(digest):
            found[digest] = None
        else:
            text = "must be the SHA-256 of a certificate (DER): 64 hex digits, quoted"
            section.findings.text_wanted(where, text, given)
    return tuple(found)


def _pem_list(section: Section, key: str, read: Callable[[str], list[str]]) -> tuple[str, ...]:
    """The PEM texts of a list, each once."""
    found: dict[str, None] = {}
    for where, given in _entries(section, key):
        if not isinstance(given, str):
            section.findings.text_wanted(where, "must be a text in PEM", given)
            continue
        try:
            found.update(dict.fromkeys(read(given)))
        except ValueError as error:
            section.findings.problem(where, str(error))
    _bounded((*section.where, key), len(found), section)
    return tuple(found)


def recipients(section: Section, key: str) -> tuple[str, ...]:
    """The recipients of a list, each a certificate or a public key in PEM."""
    return _pem_list(section, key, lambda text: [pem.recipient(text)])


def _keys(section: Section) -> dict[str, LawKey]:
    _bounded(section.where, len(list(section)), section)
    found = {name: _key(name, entry) for name, entry in section.sections()}
    return {name: key for name, key in found.items() if key is not None}


def _key(name: str, entry: Section) -> LawKey | None:
    private = entry.required("private", TEXT, "")
    chain = entry.value("chain", TEXT, "")
    entry.note_unread()
    if not private:
        return None
    try:
        key, written = pem.private_key(private)
    except ValueError as error:
        entry.findings.problem((*entry.where, "private"), str(error))
        return None
    try:
        return LawKey(name, written, _chain_of(key, chain) if chain else "")
    except ValueError as error:
        entry.findings.problem((*entry.where, "chain"), str(error))
        return LawKey(name, written)


def _chain_of(key: Any, text: str) -> str:
    """The chain of a key as PEM.

    Raises:
        ValueError: it is none, too long, or its first certificate is that of another key.
    """
    found = pem.certificates(text)
    if len(found) > LONGEST_CHAIN:
        raise ValueError(f"has {len(found)} certificates, at most {LONGEST_CHAIN} are allowed")
    if found[0].public_key() != key.public_key():
        raise ValueError("its first certificate must be that of the private key")
    return "".join(map(pem.as_text, found))


def _checkpoint_every(section: Section) -> int:
    every = section.value("checkpoint_every", EVERY, CHECKPOINT_EVERY)
    section.note_unread()
    return every


def _names(
    section: Section, key: str, known: tuple[str, ...] = (), what: str = ""
) -> tuple[str, ...]:
    """The names of a list, each once; `known`: no others are accepted."""
    found: dict[str, None] = {}
    for where, name in _entries(section, key):
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            section.findings.text_wanted(where, f"must be {NAME.wanted}", name)
        elif known and name not in known:
            section.findings.problem(where, f"{name!r} is no {what}; {suggestion(name, known)}")
        else:
            found[name] = None
    return tuple(found)


def _entries(section: Section, key: str) -> list[tuple[Where, object]]:
    entries = section.entries(key)
    _bounded((*section.where, key), len(entries), section)
    return entries[:MOST]


def _bounded(where: Where, count: int, section: Section) -> None:
    if count > MOST:
        section.findings.problem(where, f"has {count} entries, at most {MOST} are allowed")
