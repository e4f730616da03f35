"""Signatures of webhook messages, by the Standard Webhooks specification."""

import base64
import hmac
from hashlib import sha256

PREFIX = "whsec_"


def message_id(link_name: str, vcon_uuid: str, body: bytes) -> str:
    """An id that is the same for every repeat of a message, so that a receiver can detect it."""
    return "msg_" + sha256(f"{link_name}\n{vcon_uuid}\n".encode() + body).hexdigest()[:32]


def signed_headers(secret: str, message: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers with which a receiver that has the secret can verify a message.

    A secret that begins with `whsec_` is base64 after that prefix; any other is used unchanged.

    Raises:
        ValueError: if it begins with `whsec_` and the rest is not base64.
    """
    signed = f"{message}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(_key(secret), signed, sha256)).decode()
    return {"webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}


def _key(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise ValueError(f"secret: not base64 after the prefix {PREFIX}") from None
