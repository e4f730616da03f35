"""Sends a vCon to HTTP receivers.

Reads the vCon, which is sent as JSON in a POST to every URL, in the format EGRESS_FORMAT_VERSION;
writes nothing. It is sent to all receivers even if one fails, and again if the link is repeated. If
the vCon is not in Redis, the chain ends. Raises `DeliveryError` if a receiver's last answer was not
2xx; errors and log lines have the host of a receiver, never its URL.

Every message has a header `webhook-id`, which is the same if the same link sends the same content
of the same vCon again, so that receivers can detect repeats. With a `secret` there are also
`webhook-timestamp` (seconds since 1970) and `webhook-signature`: `v1,` and the base64 of the
HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.<body>`. This is the Standard Webhooks
specification, which has libraries for most languages. A secret that begins with `whsec_` is base64
after that prefix; any other is used unchanged. The header `Idempotency-Key`, unless `headers` has
one, is the step's effect key: another one for another run.
"""

import time
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import Field, SecretStr

from lib import effects
from lib.plain_calls import plain_too
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_client import close
from lib.web.webhooks import IDEMPOTENCY, DeliveryError, ReceiverOptions, deliver_to_all
from links.webhook.signature import message_id, signed_headers

__all__ = ["DeliveryError", "Options", "close", "effect", "run"]

effect = "idempotent"


class Options(ReceiverOptions):
    """Options of the link."""

    secret: SecretStr = Field(SecretStr(""), description="+ the secret that signs every message")


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Send the vCon to every receiver; returns the uuid, or None if the vCon is not in Redis."""
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    options = Options.of(opts)
    body = orjson.dumps(to_configured_legacy(document))
    headers = _headers(options, message_id(link_name, vcon_uuid, body), body)
    await deliver_to_all(options.webhook_urls, body, headers, options.http_retry)
    return vcon_uuid


def _headers(options: Options, message: str, body: bytes) -> Mapping[str, str]:
    headers = options.headers_of_json()
    headers["webhook-id"] = message
    headers.setdefault(IDEMPOTENCY, effects.key())
    if secret := options.secret.get_secret_value():
        headers.update(signed_headers(secret, message, int(time.time()), body))
    return headers
