"""The three forms of a vCon, and the bounds within which signed and encrypted ones are read.

The core draft tells the forms apart by members: `payload` with `signatures`, `ciphertext` with
`recipients`, or neither. Libraries also write the flattened serialisations of RFC 7515 and 7516
(`signature`; no `recipients`), which are recognised, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import InvalidError, TooLargeError

type Form = Literal["unsigned", "signed", "encrypted"]
type Layer = Mapping[str, Any]
"""One signed or encrypted form, as parsed from JSON."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of what is read; beyond one of them the vCon is refused with 413.

    `most_bytes` bounds a payload or a plaintext, unpacked. `chain`: certificates of one signature.
    `header`: bytes of one protected header.
    """

    most_bytes: int = 8_000_000
    layers: int = 4
    signatures: int = 16
    recipients: int = 64
    chain: int = 8
    header: int = 100_000


LIMITS = Limits()


def form_of(document: Mapping[str, Any]) -> Form:
    """The outermost form of a document; encrypted if it has the members of both."""
    if "ciphertext" in document:
        return "encrypted"
    is_signed = "payload" in document and ("signatures" in document or "signature" in document)
    return "signed" if is_signed else "unsigned"


_OF_SIGNATURE = ("protected", "header", "signature")
_OF_SIGNED = frozenset({"payload", "signatures", *_OF_SIGNATURE})
_OF_RECIPIENT = ("header", "encrypted_key")


def signatures_of(signed: Layer, limits: Limits) -> list[Layer]:
    """The signatures of a signed form, also of a flattened one.

    Raises:
        InvalidError: the form is not one of RFC 7515.
        TooLargeError: there are more than `limits.signatures`.
    """
    if "ciphertext" in signed:
        raise InvalidError("the vCon is signed and encrypted in one object; nest one in the other")
    if "signature" in signed:
        if "signatures" in signed:
            raise InvalidError("signature: stands beside signatures; RFC 7515 allows one of them")
        return [{name: signed[name] for name in _OF_SIGNATURE if name in signed}]
    return _listed(signed, "signatures", limits.signatures)


def recipients_of(encrypted: Layer, limits: Limits) -> list[Layer]:
    """The recipients of an encrypted form, also of a flattened one.

    Raises:
        InvalidError: the form is not one of RFC 7516.
        TooLargeError: there are more than `limits.recipients`.
    """
    if "payload" in encrypted:
        raise InvalidError("the vCon is signed and encrypted in one object; nest one in the other")
    if "recipients" in encrypted:
        return _listed(encrypted, "recipients", limits.recipients)
    return [{name: encrypted[name] for name in _OF_RECIPIENT if name in encrypted}]


def _listed(layer: Layer, name: str, most: int) -> list[Layer]:
    found: object = layer[name]
    if not isinstance(found, list) or not found:
        raise InvalidError(f"{name}: expected a list with at least one object")
    if len(found) > most:
        raise TooLargeError(f"{name}: there are {len(found)}; at most {most} are read")
    for place, each in enumerate(found):
        if not isinstance(each, dict):
            raise InvalidError(f"{name}[{place}]: expected an object")
    return found


def outside_of(signed: Layer) -> list[str]:
    """The members beside a signed form, which no signature covers."""
    return [name for name in signed if name not in _OF_SIGNED]


def named_uuids(parts: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, Any]]:
    """The place and value of each `uuid` in these headers, given with their places."""
    for place, header in parts:
        if header.get("uuid") is not None:
            yield f"{place}.uuid", header["uuid"]
