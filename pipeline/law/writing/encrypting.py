"""The encrypted form of a signed vCon (core, 5.3), for one or several recipients.

Content is encrypted with A256CBC-HS512, as the core draft recommends. Its key is wrapped for each
recipient by RSA-OAEP, also recommended, or for a key on a curve by ECDH-ES+A256KW. Where all are of
one kind, `alg` is in the protected header, where python-vcon needs it; else each recipient has its
own. `uuid` and `cty` are not protected and tell a reader without the key what it has.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from jwcrypto.jwk import JWK

CONTENT_TYPE: Final = "application/vcon"
ENCRYPTION: Final = "A256CBC-HS512"
_WRAPPING = {"RSA": "RSA-OAEP", "EC": "ECDH-ES+A256KW"}
_REMEMBERED = 128


def encrypted(content: bytes, vcon_uuid: str, recipients: Sequence[str]) -> bytes:
    """The content, a signed vCon, in encrypted form, General JSON.

    `recipients`: PEM texts of certificates or public keys, at least one.
    """
    from jwcrypto.jwe import JWE  # noqa: PLC0415 -- only chains that encrypt need it

    keys = [_public(pem) for pem in recipients]
    wrapping = [_WRAPPING[str(key["kty"])] for key in keys]
    shared = len(set(wrapping)) == 1
    protected = {"enc": ENCRYPTION, **({"alg": wrapping[0]} if shared else {})}
    token = JWE(
        content,
        protected=orjson.dumps(protected).decode(),
        unprotected=orjson.dumps({"uuid": vcon_uuid, "cty": CONTENT_TYPE}).decode(),
        algs=[ENCRYPTION, *_WRAPPING.values()],
    )
    for key, algorithm in zip(keys, wrapping, strict=True):
        header = None if shared else orjson.dumps({"alg": algorithm}).decode()
        token.add_recipient(key, header=header)
    return orjson.dumps(_general(orjson.loads(token.serialize())))


def _general(form: dict[str, Any]) -> dict[str, Any]:
    """Jwcrypto writes the flattened form for one recipient, which is no form of a vCon."""
    if "recipients" in form:
        return form
    of_recipient = {name: form.pop(name) for name in ("header", "encrypted_key") if name in form}
    return {**form, "recipients": [of_recipient]}


@lru_cache(maxsize=_REMEMBERED)
def _public(pem: str) -> "JWK":
    """The public key of a certificate or of a key in PEM."""
    from jwcrypto.jwk import JWK  # noqa: PLC0415

    return JWK.from_pem(pem.encode())
