"""The section `law` of a configuration, and what links, storages, tracers and chains say about it.

Frozen values, without any decision: the folders of `pipeline.law` decide by them. Certificates and
keys are PEM texts that were parsed once, when the configuration was read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

type Profile = Literal["lb-02", "consent-00"]
"""The version of the lawful-basis draft by which a basis is read."""
type Scope = Literal["any", "each"]
"""Whether one basis is enough for a vCon, or each party that is a person needs one."""
type Conflicts = Literal["strictest", "latest"]
type Conditions = Literal["allow", "deny"]
type Proofs = Literal["off", "require"]
type Verify = Literal["off", "report", "required"]
type Layout = Literal["rfc7515", "wg", "both"]

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
"""The signature algorithms that are accepted by default."""
LARGEST_SKEW: Final = 300.0
"""Seconds: the lawful-basis draft recommends five minutes at most."""
CHECKPOINT_EVERY: Final = 1000
"""Rows of the ledger between two checkpoints by default."""
TELLING_SECONDS: Final = 30.0
"""The time limit of one request to an erasure webhook that sets none."""


@dataclass(frozen=True, slots=True)
class BasisPolicy:
    """How bases are evaluated: `law.basis`. `skew` is in seconds, `bases` None means all.

    `aliases` gives the purpose that is meant by a text which vCons have in its place.
    """

    profile: Profile = "lb-02"
    scope: Scope = "any"
    conflicts: Conflicts = "strictest"
    skew: float = 60.0
    bases: frozenset[str] | None = None
    conditions: Conditions = "allow"
    proofs: Proofs = "off"
    signed_only: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures count: `law.trust`.

    `anchors`: one PEM certificate each. `pinned`: SHA-256 of a leaf's DER in lower-case hex.
    `legacy_chains`: X.509 version 1 certificates are accepted in chains.
    """

    anchors: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    legacy_chains: bool = False
    algorithms: tuple[str, ...] = ALGORITHMS


@dataclass(frozen=True, slots=True)
class LawKey:
    """A key of `law.keys`. `chain`: PEM certificates, the key's own first; empty if it has none."""

    name: str
    private: str = field(repr=False)
    """PEM (PKCS #8), without a passphrase."""
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Law:
    """The section `law`. `basis` is None where nothing is evaluated: no step has `requires`.

    `extensions`: those that a vCon may name as critical, besides those of its chain.
    """

    basis: BasisPolicy | None = None
    trust: Trust = Trust()
    keys: Mapping[str, LawKey] = field(default_factory=dict, hash=False)
    extensions: tuple[str, ...] = ()
    checkpoint_every: int = CHECKPOINT_EVERY


@dataclass(frozen=True, slots=True)
class EraseSpec:
    """Where a step's receiver is told that a vCon must be erased there, in a signed message.

    `timeout`: seconds for one request.
    """

    url: str = field(repr=False)
    sign_with: LawKey
    headers: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    timeout: float = TELLING_SECONDS


@dataclass(frozen=True, slots=True)
class EgressLaw:
    """What a vCon has to be before a chain's egress lists get its uuid: `chains.NAME.egress`.

    `requires`: the purpose. `encrypt_for`: a PEM certificate or public key for each recipient.
    """

    requires: str | None = None
    sign_with: LawKey | None = None
    layout: Layout = "rfc7515"
    encrypt_for: tuple[str, ...] = ()
