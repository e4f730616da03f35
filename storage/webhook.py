"""Sends vCons to HTTP receivers for storage.

Reads the vCon, which is sent as JSON in a POST to every URL; writes nothing to it. It is sent to
all receivers even if one fails, and again if the save is repeated, with the same uuid and the same
`Idempotency-Key` (the step's effect key, unless `headers` has one). Raises
`DeliveryError` if a receiver's last answer was not 2xx, with its host and never its URL, and
`LookupError` for a vCon that is not in Redis. vCons cannot be read back.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from lib import effects
from lib.plain_calls import plain_too
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from lib.web.webhooks import IDEMPOTENCY, DeliveryError, ReceiverOptions, deliver_to_all

__all__ = ["DeliveryError", "Options", "effect", "only_through_lib", "save"]

only_through_lib = True
effect = "idempotent"


class Options(ReceiverOptions):
    """Options of the storage."""


@plain_too
async def save(vcon_uuid: str, opts: Mapping[str, Any] | Options | None = None) -> None:
    """Send the vCon's current content in Redis."""
    options = Options.of(opts)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    body = orjson.dumps(to_configured_legacy(document))
    headers = options.headers_of_json()
    headers.setdefault(IDEMPOTENCY, effects.key())
    await deliver_to_all(options.webhook_urls, body, headers, options.http_retry)
