"""A transparency service in miniature: verifies statements, keeps a Merkle tree, signs receipts.

Its rules are those of SCRAPI and of SCITTLEs. Tree, signatures and headers are its own work, not
that of `lib.scitt`: an error there would otherwise confirm itself.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from tests.integration.support.http_stand_in import Refused, Request, StandIn, stand_in

LARGEST = 65_536
KID = b"service-key-1"
CURVE = ec.SECP256R1()
HASH_ALGORITHMS = (-16, -43, -44)


class Sent(Refused):
    """An answer with any status and content."""

    def __init__(self, status: int, content: bytes, kind: str, **headers: str) -> None:
        super().__init__(status, None, content_type=kind, **headers)
        self.body = content


def problem(status: int, title: str, detail: str) -> Sent:
    """Concise problem details (RFC 9290)."""
    content = cbor2.dumps({-1: title, -2: detail})
    return Sent(status, content, "application/concise-problem-details+cbor")


def tree_head(entries: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, as it is defined there."""
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    half = _half(len(entries))
    return hashlib.sha256(b"\1" + tree_head(entries[:half]) + tree_head(entries[half:])).digest()


def path_of(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 9162, 2.1.3.1."""
    if len(entries) == 1:
        return []
    half = _half(len(entries))
    if index < half:
        return [*path_of(index, entries[:half]), tree_head(entries[half:])]
    return [*path_of(index - half, entries[half:]), tree_head(entries[:half])]


def _half(size: int) -> int:
    """The largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1


def signature_of(key: ec.EllipticCurvePrivateKey, head: bytes, payload: bytes) -> bytes:
    """ES256 over the Sig_structure of RFC 9052, 4.4."""
    signed = cbor2.dumps(["Signature1", head, b"", payload])
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


class Transparency(StandIn):
    """The service; what tests change is above, its log below."""

    def __init__(self) -> None:
        super().__init__()
        self.key = ec.generate_private_key(CURVE)
        self.entry_of: Callable[[bytes, bytes], bytes] = lambda _, payload: hashlib.sha256(
            payload
        ).digest()
        """From statement and payload; as SCITTLEs does it."""
        self.polls: list[str] = []
        """A `Retry-After` for each time that a registration is not ready; none: it is at once."""
        self.public_url = ""
        """What it believes its address to be, if not the one at which it is reached."""
        self.keys_as = "jwks"
        """`jwks`: by the configuration; `cose`: at SCRAPI's well-known address."""
        self.configuration: dict[str, Any] = {}
        self.change_receipt: Callable[[bytes], bytes] = lambda receipt: receipt
        self.structure = 1
        self.lost = 0
        """How many answers to statements are lost after they are in the log."""
        self.entries: list[bytes] = []
        self.statements: dict[str, tuple[int, bytes]] = {}
        self.waiting: list[str] = []

    def reply_to(self, request: Request) -> bytes:
        """What a request is answered with."""
        path = urlsplit(request.path).path
        if request.method == "POST" and path == "/entries":
            return self._registered(request)
        if request.method != "GET":
            raise problem(405, "Method Not Allowed", "use POST /entries or GET")
        if path.startswith("/entries/"):
            return self._entry(path.removeprefix("/entries/"), request)
        raise self._published(path)

    def receipt(self, name: str) -> bytes:
        """A receipt for the tree as it is now."""
        index, _ = self.statements[name]
        head = cbor2.dumps({1: -7, 4: KID, 395: self.structure, 15: {1: self.base}})
        proof = cbor2.dumps([len(self.entries), index, path_of(index, self.entries)])
        signature = signature_of(self.key, head, tree_head(self.entries))
        message = cbor2.CBORTag(18, [head, {396: {-1: [proof]}}, None, signature])
        return self.change_receipt(cbor2.dumps(message))

    def said(self) -> list[dict[Any, Any]]:
        """The protected headers of each statement in the log."""
        found = [cbor2.loads(statement).value[0] for _, statement in self.statements.values()]
        return [cbor2.loads(head) for head in found]

    def payloads(self) -> list[str]:
        """The payload of each statement in the log."""
        return [cbor2.loads(each).value[2].decode() for _, each in self.statements.values()]

    def posts(self) -> int:
        """How many statements were sent."""
        return sum(method == "POST" for method in self.methods)

    def _registered(self, request: Request) -> bytes:
        if request.headers.get("content-type") != "application/cose":
            raise problem(415, "Unsupported Media Type", "a statement is application/cose")
        if len(request.body) > LARGEST:
            raise problem(413, "Too Large", f"a statement has at most {LARGEST} bytes")
        payload = verified(request.body)
        name = hashlib.sha256(payload).hexdigest()
        if name in self.statements:
            raise problem(400, "Already Registered", "Statement with this hash already registered")
        self.statements[name] = (len(self.entries), request.body)
        self.entries.append(self.entry_of(request.body, payload))
        if self.lost:
            self.lost -= 1
            raise problem(503, "Unavailable", "a proxy before the service has given up")
        place = f"{self.public_url or self.base}/entries/{name}"
        if self.polls:
            self.waiting.append(name)
            raise Sent(303, b"", "application/cose", location=place)
        raise Sent(201, self.receipt(name), "application/cose", location=place)

    def _entry(self, name: str, request: Request) -> bytes:
        accepted = request.headers.get("accept", "*/*")
        if "application/cose" not in accepted and "*/*" not in accepted:
            raise problem(406, "Not Acceptable", "a receipt is application/cose")
        if name not in self.statements:
            raise problem(404, "Not Found", f"Receipt with entry ID {name} not known")
        place = f"{self.public_url or self.base}/entries/{name}"
        if name in self.waiting and self.polls:
            wait = self.polls.pop(0)
            raise Sent(302, b"", "application/cose", location=place, retry_after=wait)
        raise Sent(200, self.receipt(name), "application/cose", location=place)

    def _published(self, path: str) -> Sent:
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32), numbers.y.to_bytes(32)
        if path == "/.well-known/transparency-configuration" and self.keys_as == "jwks":
            content = cbor2.dumps({"issuer": self.base, **self.configuration})
            return Sent(200, content, "application/cbor")
        if path == "/jwks" and self.keys_as == "jwks":
            key = {"kty": "EC", "crv": "P-256", "kid": KID.decode(), "use": "sig"}
            keys = [{**key, "x": _text(x), "y": _text(y)}]
            return Sent(200, json.dumps({"keys": keys}).encode(), "application/json")
        if path == "/.well-known/scitt-keys" and self.keys_as == "cose":
            keys = [{1: 2, 2: KID, -1: 1, -2: x, -3: y}]
            return Sent(200, cbor2.dumps(keys), "application/cbor")
        return problem(404, "Not Found", path)


def verified(content: bytes) -> bytes:
    """The payload of a statement that has what it must have and is signed by its key.

    Raises:
        Refused: as a registration policy would.
    """
    try:
        message = cbor2.loads(content)
        assert message.tag == 18
        head, _, payload, signature = message.value
        protected = cbor2.loads(head)
    except Exception:
        raise problem(400, "Malformed request", "The request could not be parsed") from None
    if protected.get(1) != -7:
        raise problem(400, "Bad Signature Algorithm", "only ES256 is supported")
    if not payload:
        raise problem(400, "Payload Missing", "Signed Statement payload must be present")
    both = [found for found in (protected.get(13), protected.get(15)) if found]
    claims = both[0] if both else {}
    if not claims.get(1) or not claims.get(2) or any(each[2] != claims[2] for each in both):
        raise problem(400, "Rejected", "issuer and subject are required in the CWT claims")
    if not isinstance(protected.get(4), bytes) or protected.get(-6800) not in HASH_ALGORITHMS:
        raise problem(400, "Rejected", "key identifier and hash algorithm are required")
    meta = protected.get(-6804)
    if not all(isinstance(each, str) for pair in meta.items() for each in pair):
        raise problem(400, "Rejected", "the meta map is of texts")
    _check_signature(claims.get(8, {}).get(1), head, payload, signature)
    return payload


def _check_signature(key: Any, head: bytes, payload: bytes, signature: bytes) -> None:
    if not key or (key[1], key[-1]) != (2, 1):
        raise problem(400, "Confirmation Missing", "did not contain proof of possession")
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(key[-2]), int.from_bytes(key[-3]), CURVE)
    signed = cbor2.dumps(["Signature1", head, b"", payload])
    halves = (int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    try:
        numbers.public_key().verify(
            encode_dss_signature(*halves), signed, ec.ECDSA(hashes.SHA256())
        )
    except InvalidSignature:
        raise problem(400, "Rejected", "the signature does not verify") from None


def _text(number: bytes) -> str:
    return urlsafe_b64encode(number).decode().rstrip("=")


@contextmanager
def transparency() -> Iterator[Transparency]:
    """A running service with an empty log."""
    with stand_in(Transparency()) as service:
        yield service
