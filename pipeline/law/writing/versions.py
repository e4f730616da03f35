"""Signed versions of vCons: what is amended, and the layouts of its signatures.

A new version has its own uuid, and a reference to the version before it (core, 4.1.8).

Its signed form is in one of the layouts that readers can verify (core, 5.2). The core draft wants
`alg` and `x5c` in the unprotected header. RFC 7515 allows no name in both headers, and no library
takes `alg` from the unprotected one alone. So there are two layouts:

| layout | protected | unprotected | verified by |
|---|---|---|---|
| `rfc7515` | `alg`, `x5t#S256` | `x5c`, `uuid` | libraries of RFC 7515, vcon-lib |
| `wg` | `alg` | `alg`, `x5c`, `uuid` | python-vcon, vcon-lib |

`both` writes two signatures over one payload with one key, first `rfc7515`, then `wg`. Each of
these readers accepts that: those that need one right signature, and those that need all. The
payload is in the form of RFC 8785, which go-vcon demands.
"""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from pipeline.config.law import LawKey, Layout
from pipeline.law.canonical_json import canonical
from pipeline.law.writing.signing_key import SigningKey, base64url, signing_key

_EXCLUSIVE = ("amended", "redacted", "appended", "group")
"""A vCon has at most one of these; those of the version before stay in that one."""
_ENTRIES = {"rfc7515": ("rfc7515",), "wg": ("wg",), "both": ("rfc7515", "wg")}


def version_uuid(run_id: str, prior: str) -> str:
    """The uuid of the version that a run makes of a vCon: the same at each attempt.

    It is of version 8 (RFC 9562). The time of `prior` stays in its first 48 bits if `prior` is of
    version 7 or 8: an encrypted vCon tells its age nowhere else.
    """
    digest = bytearray(hashlib.sha256(f"amended\n{run_id}\n{prior}".encode()).digest())
    before = uuid.UUID(prior)
    if before.version in (7, 8):
        digest[:6] = before.bytes[:6]
    digest[6] = 0x80 | digest[6] & 0x0F
    digest[8] = 0x80 | digest[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(digest[:16])))


def content_hash(content: bytes) -> str:
    """A `content_hash` of the core draft, of these bytes."""
    return "sha512-" + base64url(hashlib.sha512(content).digest())


def amended(
    document: Mapping[str, Any], vcon_uuid: str, prior: bytes, at: datetime
) -> dict[str, Any]:
    """The document as a new version with this uuid; `document` is left as it is.

    `prior` are the bytes of the version before it, signed if it was: `content_hash` is of these.
    `at`: the time of the change and of the signature.
    """
    kept = {name: value for name, value in document.items() if name not in _EXCLUSIVE}
    reference = {"uuid": document["uuid"], "content_hash": content_hash(prior)}
    return {**kept, "uuid": vcon_uuid, "amended": reference, "updated_at": _written(at)}


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def signed(document: Mapping[str, Any], key: LawKey, layout: Layout) -> bytes:
    """The document in signed form, General JSON. `key` has certificates.

    Raises:
        ValueError: the document has no form of RFC 8785, such as an integer beyond 2^53-1.
        RecursionError: it is nested too deeply.
    """
    signer = signing_key(key)
    payload = base64url(canonical(dict(document)))
    entries = [_entry(signer, payload, document["uuid"], each) for each in _ENTRIES[layout]]
    return orjson.dumps({"payload": payload, "signatures": entries})


def _entry(signer: SigningKey, payload: str, vcon_uuid: str, layout: str) -> dict[str, Any]:
    header: dict[str, Any] = {"x5c": list(signer.x5c), "uuid": vcon_uuid}
    protected = {"alg": signer.algorithm}
    if layout == "wg":
        header["alg"] = signer.algorithm
    else:
        protected["x5t#S256"] = signer.x5t
    return {"header": header, **signer.entry(payload, protected)}
