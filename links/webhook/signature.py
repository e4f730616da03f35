"""Signing what is sent, as the Standard Webhooks specification says: receivers have libraries."""

import base64
import hmac
from hashlib import sha256

PREFIX = "whsec_"


def message_id(link_name: str, vcon_uuid: str, body: bytes) -> str:
    """The same for every repeat of the same message, so that a receiver can tell it is one."""
    return "msg_" + sha256(f"{link_name}\n{vcon_uuid}\n".encode() + body).hexdigest()[:32]


def signed_headers(secret: str, message: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver that knows the secret can check a message.

    A secret that begins with `whsec_` is base64 after that; any other is taken as it is.

    Raises:
        ValueError: for one that begins with `whsec_` but is no base64.
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
        raise ValueError(f"secret: begins with {PREFIX}, but is no base64 after that") from None
