"""Receipts of transparency services, against trees built as RFC 9162 defines them."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lib.scitt.cose import CoseError, PublicKey, keys_of_cose, keys_of_jose, signing_key
from lib.scitt.receipts import ReceiptError, UnknownKeyError, leaf_hash, root, verify
from tests.integration.support.vendors.transparency import (
    CURVE,
    path_of,
    signature_of,
    tree_head,
)

KEY = ec.generate_private_key(CURVE)
KEYS = [PublicKey(b"kid", KEY.public_key())]
ENTRIES = [bytes([number]) * 32 for number in range(20)]


def receipt(
    *,
    size: int = 7,
    index: int = 4,
    path: list[Any] | None = None,
    head: dict[int, Any] | None = None,
    proofs: Any = None,
    payload: bytes | None = None,
    key: ec.EllipticCurvePrivateKey = KEY,
) -> bytes:
    """A receipt for an entry of a tree, with what a test changes in it."""
    found = path_of(index, ENTRIES[:size]) if path is None else path
    protected = cbor2.dumps({1: -7, 4: b"kid", 395: 1} if head is None else head)
    proofs = {396: {-1: [cbor2.dumps([size, index, found])]}} if proofs is None else proofs
    signature = signature_of(key, protected, tree_head(ENTRIES[:size]))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, proofs, payload, signature]))


@pytest.mark.parametrize("size", range(1, 18))
def test_every_entry_of_every_tree_leads_to_its_root(size: int) -> None:
    """And no other entry does, by the same path."""
    entries = ENTRIES[:size]
    for index, entry in enumerate(entries):
        path = path_of(index, entries)
        assert root(leaf_hash(entry), index, size, path) == tree_head(entries)
        assert root(leaf_hash(b"x" * 32), index, size, path) != tree_head(entries)
        with pytest.raises(ReceiptError, match="too long"):
            root(leaf_hash(entry), index, size, [*path, bytes(32)])
        if path:
            with pytest.raises(ReceiptError, match="too short"):
                root(leaf_hash(entry), index, size, path[:-1])


def test_a_receipt_of_one_of_the_entries_verifies() -> None:
    """With the root in it or, as usual, not, and with keys that have no identifier."""
    verify(receipt(), [b"other", ENTRIES[4]], KEYS)
    verify(receipt(payload=tree_head(ENTRIES[:7])), [ENTRIES[4]], KEYS)
    verify(receipt(), [ENTRIES[4]], [PublicKey(None, KEY.public_key())])


OTHER = ec.generate_private_key(CURVE)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": OTHER},
        {"payload": b"another root"},
        {"index": 3, "path": path_of(4, ENTRIES[:7])},
        {"path": [bytes(32)] * 3},
        {"head": {1: -35, 4: b"kid", 395: 1}},
        {"head": {1: [7], 4: b"kid", 395: 1}},
        {"head": {4: b"kid", 395: 1}},
    ],
)
def test_a_receipt_of_something_else_does_not(changed: dict[str, Any]) -> None:
    """Another key, tree, entry or algorithm."""
    with pytest.raises(ReceiptError, match="is not the service's signature over a tree with"):
        verify(receipt(**changed), [ENTRIES[4]], KEYS)


HUGE = 1 << 64


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"head": {1: -7, 395: 2}}, "structure 2, and only 1"),
        ({"head": {1: -7}}, "structure without a number"),
        ({"proofs": {}}, "1 to 16 inclusion proofs"),
        ({"proofs": {396: {-1: []}}}, "1 to 16 inclusion proofs"),
        ({"proofs": {396: {-1: [b""] * 17}}}, "1 to 16 inclusion proofs"),
        ({"proofs": {396: {-1: [b"\xff"]}}}, "is not valid CBOR"),
        ({"proofs": {396: {-1: [cbor2.dumps([1, 2])]}}}, "not a list of size, index and path"),
        ({"proofs": {396: {-1: [cbor2.dumps([4, 4, []])]}}}, "no entry of its tree"),
        ({"proofs": {396: {-1: [cbor2.dumps([True, False, []])]}}}, "no entry of its tree"),
        ({"proofs": {396: {-1: [cbor2.dumps([HUGE, 0, []])]}}}, "no entry of its tree"),
        ({"path": [bytes(32)] * 65}, "path that is too long"),
        ({"path": [bytes(31)]}, "not a SHA-256"),
        ({"path": ["a"]}, "not a SHA-256"),
    ],
)
def test_the_error_says_what_is_wrong(changed: dict[str, Any], text: str) -> None:
    """With what stands in it only where it is a number."""
    with pytest.raises(ReceiptError, match=text):
        verify(receipt(**changed), [ENTRIES[4]], KEYS)


def test_a_key_with_another_identifier_is_not_tried() -> None:
    """The caller may then fetch the keys again."""
    with pytest.raises(UnknownKeyError):
        verify(receipt(), [ENTRIES[4]], [PublicKey(b"other", KEY.public_key())])


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        {"keys": None},
        {"keys": 5},
        {"keys": ["x", {"kty": "RSA"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]},
        {"keys": [{"kty": "EC", "crv": ["P-256"], "x": 5, "y": "%"}]},
    ],
)
def test_keys_that_cannot_be_used_are_left_out(found: Any) -> None:
    """Such as points that are on no curve."""
    assert keys_of_jose(found) == []
    assert keys_of_cose(found) == []
    assert keys_of_cose([{1: 2, -1: 1, -2: b"\1", -3: b"\1"}, {1: 1}]) == []


def test_a_key_for_signing_is_on_the_curve_p_256() -> None:
    """Others could not sign with ES256."""
    for pem in (b"", b"\xff", b"-----BEGIN x-----", b"AAAA"):
        with pytest.raises(CoseError, match="not an unencrypted private key"):
            signing_key(pem)
