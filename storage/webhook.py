"""Hands vCons to receivers on the web for keeping.

Reads the vCon, which is sent whole as JSON in a POST to every URL; writes nothing on it. All
receivers get it even if one fails, and get it again when the save is repeated; they can tell by its
uuid. Raises `DeliveryError` when a receiver did not answer 2xx in the end, naming its host and
never its URL, and `LookupError` for a vCon that is not in Redis. Nothing can be read back.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from lib.plain_calls import plain_too
from lib.vcon_egress_compat import to_configured_legacy
from lib.vcon_redis import AsyncVconRedis
from lib.web.webhooks import DeliveryError, ReceiverOptions, deliver_to_all

__all__ = ["DeliveryError", "Options", "only_through_lib", "save"]

only_through_lib = True


class Options(ReceiverOptions):
    """Where to, and how."""


@plain_too
async def save(vcon_uuid: str, opts: Mapping[str, Any] | Options | None = None) -> None:
    """Send the vCon as it is now in Redis."""
    options = Options.of(opts)
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {vcon_uuid} in Redis")
    body = orjson.dumps(to_configured_legacy(document))
    headers = options.headers_of_json()
    await deliver_to_all(options.webhook_urls, body, headers, options.patience)
