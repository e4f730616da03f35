"""The verification of a signed vCon, as operators ask for it."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.packed import GivenVcon
from schemas.uuids import Uuid


class VerifyQuery(BaseModel, defer_build=True):
    """A vCon by its uuid, or the vCon itself. `original`: return the signed form that is kept."""

    model_config = ConfigDict(extra="forbid")

    vcon_uuid: Uuid | None = None
    vcon: GivenVcon | None = None
    original: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.vcon_uuid is None) == (self.vcon is None):
            raise ValueError("give either vcon_uuid or vcon")
        return self


class VerifiedSigner(BaseModel, defer_build=True):
    """A right signature. `certificate`: SHA-256 of its DER.

    `trusted_by`: anchor, pinned or legacy; None if its certificate is not trusted.
    """

    place: str
    algorithm: str
    subject: str
    certificate: str
    trusted_by: str | None = None


class VerifyResult(BaseModel, defer_build=True):
    """What the vCon is, and whether all its signatures are right and one is trusted.

    `form`: unsigned, signed or encrypted. `error`: why it is not verified. `findings`: what was
    found, errors and warnings. `original`: the JSON of the signed form, if that was asked for.
    """

    vcon_uuid: str | None = None
    form: str
    layers: list[str] = Field(default_factory=list)
    verified: bool
    error: str | None = None
    signers: list[VerifiedSigner] = Field(default_factory=list)
    findings: list[str] = Field(default_factory=list)
    original: str | None = None
