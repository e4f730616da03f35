"""Signed statements about vCons: made, registered, and recognised when they come back.

The form is vcon-server's. A statement is a COSE_Sign1 message with ES256 whose payload is the text
`HASH:OPERATION` or, for each telephone number of the parties, `HASH:OPERATION:NUMBER`; HASH is
`document_hash`. Its protected headers name issuer and subject (CWT claims, as header 13 and, as
RFC 9597 has it, 15), the public key, and in a map of texts the operation, the number and the uuid
of the vCon.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field, SecretStr, field_validator, model_validator

from lib.metrics import increment_counter
from lib.scitt import service
from lib.scitt.cose import (
    ALGORITHM,
    ES256,
    KEY_ID,
    CoseError,
    coordinates,
    is_signed_by,
    parse,
    sign,
    signing_key,
)
from lib.scitt.receipts import UnknownKeyError, entries_of, verify
from lib.scitt.service import ServiceOptions

CLAIMS, CWT_CLAIMS = 13, 15
ISSUER, SUBJECT, CONFIRMATION = 1, 2, 8
HASH_ALGORITHM, LOCATION, CONTENT_TYPE, META = -6800, -6801, -6802, -6804
"""Labels of headers, and within the claims."""
HASHES = {"SHA-256": -16, "SHA-384": -43, "SHA-512": -44}
"""Numbers of hash algorithms (RFC 9054)."""
ONCE = "vcon_created"
"""The operation that happens once to a vCon."""
LARGEST_KEY = 65_536
"""Bytes of a key's file."""
LONGEST_NUMBER = 1_000
"""Characters of a party's `tel`."""

type Document = dict[str, Any]
type Record = dict[str, str]


class StatementOptions(ServiceOptions):
    """Options for statements and where they are registered."""

    signing_key_pem: SecretStr = Field(
        SecretStr(""),
        description="the private key, on the curve P-256: PEM, or the base64 of it; takes "
        "precedence over the file",
    )
    signing_key_path: str = Field(
        "/etc/scitt/signing-key.pem", description="a file with the private key in PEM"
    )
    issuer: str = Field("conserver", description="the issuer that statements name")
    key_id: str = Field("conserver-key-1", description="the key's identifier in statements")
    max_subjects: int = Field(
        100,
        ge=1,
        description="+ the most telephone numbers of a vCon; one with more is an error, since each "
        "is registered for itself",
    )
    again_if_changed: bool | None = Field(
        None,
        description="+ whether to register a vCon again that has changed since its receipt; unset: "
        "for every operation but `vcon_created`",
    )

    @field_validator("signing_key_pem")
    @classmethod
    def _is_a_key(cls, pem: SecretStr) -> SecretStr:
        if text := pem.get_secret_value():
            signing_key(text.encode())
        return pem

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        self.key()
        return self

    def repeats(self, operation: str) -> bool:
        """Whether a vCon that has changed is registered again."""
        return operation != ONCE if self.again_if_changed is None else self.again_if_changed

    def key(self) -> ec.EllipticCurvePrivateKey:
        """The private key.

        Raises:
            ValueError: if it is neither in the options nor in the file.
        """
        if text := self.signing_key_pem.get_secret_value():
            return signing_key(text.encode())
        return key_of_file(self.signing_key_path)


class Subject(NamedTuple):
    """What a statement is about: the party with a number, or without one the vCon."""

    uri: str
    number: str | None


class Statement(NamedTuple):
    """A statement, its payload, and what it says."""

    signed: bytes
    payload: bytes
    subject: Subject
    operation: str
    vcon_hash: str


def key_of_file(path: str) -> ec.EllipticCurvePrivateKey:
    """The private key in a PEM file. Raises ValueError with the path."""
    try:
        with Path(path).open("rb") as file:
            pem = file.read(LARGEST_KEY)
    except OSError as error:
        text = f"signing_key_path: {path} cannot be read: {error.strerror}"
        raise ValueError(text) from None
    try:
        return signing_key(pem)
    except CoseError as error:
        raise ValueError(f"signing_key_path: {path} is {error}") from None


def subjects(document: Document, options: StatementOptions) -> list[Subject]:
    """One for each number of the parties, in their order; the vCon itself if there is none.

    Raises:
        ValueError: if there are more than `max_subjects`.
    """
    parties = document.get("parties")
    given = [each.get("tel") for each in parties or () if isinstance(each, Mapping)]
    numbers = dict.fromkeys(_clean(each) for each in given if each and isinstance(each, str))
    if len(numbers) > options.max_subjects:
        raise ValueError(
            f"the vCon has {len(numbers)} telephone numbers, more than the option max_subjects "
            f"({options.max_subjects}) lets be registered"
        )
    if not numbers:
        return [Subject(f"vcon://{document['uuid']}", None)]
    return [Subject(each if each.startswith("tel:") else f"tel:{each}", each) for each in numbers]


def make(
    options: StatementOptions, document: Document, subject: Subject, operation: str, vcon_hash: str
) -> Statement:
    """The signed statement; the same arguments make the same bytes."""
    parts = [vcon_hash, operation, *([subject.number] if subject.number else ())]
    payload = ":".join(parts).encode()
    meta = {"vcon_operation": operation}
    meta |= {"party_tel": subject.number} if subject.number else {}
    key = options.key()
    head = headers(
        key.public_key(),
        issuer=options.issuer,
        subject=subject.uri,
        kid=options.key_id.encode(),
        meta={**meta, "vcon_uuid": str(document["uuid"])},
    )
    return Statement(sign(head, payload, key), payload, subject, operation, vcon_hash)


def headers(
    key: ec.EllipticCurvePublicKey,
    *,
    issuer: str,
    subject: str,
    kid: bytes,
    meta: Mapping[str, str] | None,
    algorithm: int = HASHES["SHA-256"],
    location: str | None = "",
    content_type: str | None = "application/vcon+json",
) -> dict[int, Any]:
    """The protected headers of a statement."""
    x, y = coordinates(key)
    claims = {ISSUER: issuer, SUBJECT: subject}
    return {
        ALGORITHM: ES256,
        KEY_ID: kid,
        CONTENT_TYPE: content_type,
        CLAIMS: {**claims, CONFIRMATION: {1: {1: 2, -1: 1, -2: x, -3: y}}},
        CWT_CLAIMS: claims,
        HASH_ALGORITHM: algorithm,
        LOCATION: location,
        META: dict(meta or {}),
    }


async def registered(options: StatementOptions, statement: Statement) -> Record:
    """Register a statement and verify the receipt; returns what is kept of it.

    Raises:
        VendorError: if the service cannot be reached or refuses the statement.
        ReceiptError: if the receipt does not verify.
    """
    try:
        found = await service.register(options, statement.signed, statement.payload)
        await _verify(options, statement, found.receipt)
    except Exception:
        increment_counter("conserver.link.scitt.registration_failures")
        raise
    return {
        "entry_id": found.entry_id,
        "cose_receipt": base64.b64encode(found.receipt).decode(),
        "vcon_operation": statement.operation,
        "subject": statement.subject.uri,
        "vcon_hash": statement.vcon_hash,
        "scrapi_url": options.scrapi_url,
        "signed_statement": base64.b64encode(statement.signed).decode(),
    }


def is_of(record: object, options: StatementOptions, document: Document, operation: str) -> bool:
    """Whether a record has a statement by this key about this vCon, operation and service.

    A vCon comes from outside, and with it may come records that others made or copied; only what
    the signature covers counts.
    """
    if not isinstance(record, Mapping) or record.get("scrapi_url") != options.scrapi_url:
        return False
    try:
        message = parse(base64.b64decode(record.get("signed_statement") or ""), "the statement")
        meta, claims = message.protected.get(META), message.protected.get(CWT_CLAIMS)
    except (CoseError, TypeError, ValueError, binascii.Error):
        return False
    if not isinstance(meta, Mapping) or not isinstance(claims, Mapping) or not message.payload:
        return False
    signed = (meta.get("vcon_uuid"), meta.get("vcon_operation"), claims.get(SUBJECT))
    if signed != (document["uuid"], operation, record.get("subject")):
        return False
    vcon_hash = str(record.get("vcon_hash"))
    return message.payload.startswith(f"{vcon_hash}:{operation}".encode()) and is_signed_by(
        message, options.key().public_key(), message.payload
    )


async def _verify(options: StatementOptions, statement: Statement, receipt: bytes) -> None:
    entries = entries_of(statement.signed, statement.payload)
    try:
        verify(receipt, entries, await service.keys(options))
    except UnknownKeyError:  # the service may have a new key
        verify(receipt, entries, await service.keys(options, fresh=True))


def _clean(number: str) -> str:
    """A number that can be written as UTF-8, with a bounded length."""
    return number[:LONGEST_NUMBER].encode("utf-8", "replace").decode()
