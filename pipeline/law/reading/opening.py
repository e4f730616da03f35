"""From a vCon in any form to the plain vCon in it, and who signed that.

Each layer is opened in turn: an encrypted one with the keys given, a signed one by decoding its
payload. The outermost signature is verified; those inside of it are there for archiving (core
5.2.3), may have expired, and are only decoded. Members beside a payload count for nothing.

No clock, no network, no environment: the time, what is trusted and the keys are arguments. It takes
up to tenths of a second for a large vCon, so callers run it in a thread.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from core.errors import InvalidError, TooLargeError
from pipeline.config.law import LawKey, Trust
from pipeline.law.reading.decryption import decrypted
from pipeline.law.reading.forms import LIMITS, Form, Layer, Limits, form_of, outside_of
from pipeline.law.reading.packing import UnpackedTooLargeError, from_base64url, plain
from pipeline.law.reading.signatures import Signer, verified
from schemas.uuids import canonical_uuid
from schemas.vcon import Document, Finding


@dataclass(frozen=True, slots=True)
class Opened:
    """A vCon that was opened. `document` is the plain vCon, not normalised.

    `form` is the outermost form. `verified`: it was signed, every signature is right, and one of
    them is trusted. `findings`: errors if it was signed and is not verified, else warnings.
    """

    document: Document
    form: Form
    signers: tuple[Signer, ...] = ()
    findings: tuple[Finding, ...] = ()
    verified: bool = False
    original: bytes | None = field(default=None, repr=False)
    """The JSON of the outermost signed form, byte for byte if it was given as bytes."""
    layers: tuple[Form, ...] = ()
    """The signed and encrypted forms around the vCon, outermost first."""


def opened(
    given: Mapping[str, Any] | bytes,
    trust: Trust,
    keys: Sequence[LawKey],
    now: datetime,
    limits: Limits = LIMITS,
) -> Opened:
    """Open a vCon given as parsed JSON, as bytes of it, or as gzip of those.

    Raises:
        InvalidError: it is no vCon in one of the three forms, or tells two uuids.
        SealedError: none of the keys opens it.
        TooLargeError: it exceeds the limits.
    """
    return _Opening(trust, keys, now, limits).result(given)


class _Opening:
    """One vCon that is being opened."""

    def __init__(self, trust: Trust, keys: Sequence[LawKey], now: datetime, limits: Limits) -> None:
        self._trust, self._keys, self._now, self._limits = trust, keys, now, limits
        self._findings: list[Finding] = []
        self._uuids: list[tuple[str, Any]] = []
        self._layers: list[Form] = []
        self._signers: tuple[Signer, ...] | None = None
        self._verified = False
        self._original: bytes | None = None

    def result(self, given: Mapping[str, Any] | bytes) -> Opened:
        text, layer = self._read("vcon", given) if isinstance(given, bytes) else (None, given)
        while (form := form_of(layer)) != "unsigned":
            self._layers.append(form)
            if len(self._layers) > self._limits.layers:
                most = self._limits.layers
                raise TooLargeError(f"the vCon is signed or encrypted more than {most} times")
            step = self._decrypted if form == "encrypted" else self._unsigned
            text, layer = step(layer, text)
        self._check_uuids(layer)
        return Opened(
            dict(layer),
            self._layers[0] if self._layers else "unsigned",
            self._signers or (),
            tuple(self._findings),
            self._verified,
            self._original,
            tuple(self._layers),
        )

    def _decrypted(self, layer: Layer, _: bytes | None) -> tuple[bytes | None, Layer]:
        found = decrypted(layer, self._keys, self._limits)
        self._findings += found.findings
        self._uuids += found.uuids
        text, inside = self._read("ciphertext", found.content)
        if self._signers is None and form_of(inside) == "unsigned":
            message = "what is encrypted is not signed; the core draft demands that it is"
            self._findings.append(Finding("warning", "ciphertext", message))
        return text, inside

    def _unsigned(self, layer: Layer, text: bytes | None) -> tuple[bytes | None, Layer]:
        try:
            content = from_base64url(layer["payload"])
        except ValueError as error:
            raise InvalidError(f"payload: {error}") from error
        if self._signers is None:
            self._original = text if text is not None else _text_of(layer)
            found = verified(layer, self._trust, self._now, self._limits)
            self._signers, self._verified = found.signers, found.verified
            self._findings += found.findings
            self._uuids += found.uuids
        if beside := outside_of(layer):
            names = ", ".join(f"{name!a:.80}" for name in beside[:10])
            message = f"outside of the payload, where no signature covers them; ignored: {names}"
            self._findings.append(Finding("warning", "payload", message))
        if layer.get("uuid") is not None:
            self._uuids.append(("uuid", layer["uuid"]))
        return self._read("payload", content)

    def _read(self, place: str, content: bytes) -> tuple[bytes, Layer]:
        """JSON text and its object, unpacked if it is gzip."""
        most = self._limits.most_bytes
        try:
            text = plain(content, most)
            layer = orjson.loads(text)
        except UnpackedTooLargeError as error:
            raise TooLargeError(f"{place}: has {error}; at most so many are taken") from error
        except ValueError as error:
            raise InvalidError(f"{place}: expected a vCon in JSON, or gzip of it") from error
        if not isinstance(layer, dict):
            raise InvalidError(f"{place}: expected a vCon, which is an object")
        return text, layer

    def _check_uuids(self, document: Layer) -> None:
        own = canonical_uuid(document.get("uuid"))
        for place, told in self._uuids:
            if canonical_uuid(told) != own:
                inside = _shown(document.get("uuid"))
                msg = f"{place}: {_shown(told)} is not the uuid inside, {inside}"
                raise InvalidError(msg)


def _text_of(layer: Layer) -> bytes:
    """The JSON of a signed form that was given as a value.

    Raises:
        InvalidError: it has none, such as half of a surrogate pair.
    """
    try:
        return orjson.dumps(layer)
    except TypeError as error:
        raise InvalidError(f"vcon: {error!s:.200}") from error


def _shown(uuid: object) -> str:
    return f"{uuid!a:.80}"


def why_not_verified(found: Opened) -> str:
    """What `verify: required` says about this vCon; "" if it is verified."""
    if found.verified:
        return ""
    if "signed" not in found.layers:
        return "it is not signed"
    return "; ".join(str(each) for each in _errors(found.findings)) or "it is not verified"


def _errors(findings: Iterable[Finding]) -> list[Finding]:
    return [each for each in findings if each.refuses][:10]


def is_verified(original: bytes, trust: Trust, now: datetime) -> bool:
    """Whether a signed original that was kept is verified at this time, under this trust."""
    try:
        return opened(original, trust, (), now).verified
    except (InvalidError, TooLargeError):
        return False
