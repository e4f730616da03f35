"""Records vCons at DataTrails, as events that cannot be changed any more.

Reads the vCon; writes nothing. An event has the vCon's hash as `payload`, the operation, the
subject `vcon://UUID`, the time of the last change, and the name of this link in the configuration.
It is added to an asset of the day (UTC), which is looked up by its attributes and created by one
worker only if there is none. Unless `asset_free_events` is false, the same event is recorded
without an asset, too, with the subject as its trail; that is a preview at DataTrails, so a failure
there is logged and the chain continues. If the vCon is not in Redis, the chain ends.

`payload` is vcon-server's `Vcon.hash`: the SHA-256 of the vCon in Redis as Python's `json.dumps`
writes it, with its separators, ASCII only, and the members in their order; no canonical JSON.

Before an event is recorded, DataTrails is asked for one with the same subject, operation, link and
`payload`; if there is one, nothing is recorded, so a second run adds nothing. It is asked again
before a request is repeated whose answer was lost. For `vcon_created`
the `payload` does not matter: it is recorded once, also if the vCon has changed since. Events that
vcon-server has recorded count.

The token is kept until it expires, and replaced once if it is refused. Raises `VendorError` if
DataTrails cannot be reached or refuses.

Better than vcon-server's: it asks for a token with each vCon, has no time-outs, records everything
again in a repeat, and workers that start a day together create several assets for it.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from lib.metrics import increment_counter
from lib.plain_calls import plain_too
from lib.vcon.fields import hash_of
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_client import close
from lib.web.http_retry import VendorError
from links.datatrails import api
from links.datatrails.api import VERSION, ApiOptions

__all__ = ["Options", "VendorError", "close", "effect", "only_through_lib", "run"]

only_through_lib = True
effect = "idempotent"

log = logging.getLogger(__name__)

ONCE = "vcon_created"
"""The operation that happens once to a vCon."""
_SAME = ("subject", "vcon_operation", "conserver_link_name")
"""The attributes by which an event is found again, beside `payload`."""


class Options(ApiOptions):
    """Options of the link."""

    vcon_operation: str = Field(
        "vcon", min_length=1, max_length=200, description="what has happened to the vCon"
    )
    asset_free_events: bool = Field(
        True, description="+ whether to record the event without an asset, too"
    )
    again_if_changed: bool | None = Field(
        None,
        description="+ whether to record a vCon again that has changed since its event; unset: for "
        "every operation but `vcon_created`",
    )

    @property
    def operation(self) -> str:
        """The operation with its prefix, as vcon-server writes it."""
        name = self.vcon_operation.lower().removeprefix("vcon_").removeprefix("vcon-")
        return f"vcon_{name}"

    def same(self, attributes: Mapping[str, str]) -> dict[str, str]:
        """What an event must have to count as recorded."""
        repeats = self.operation != ONCE if self.again_if_changed is None else self.again_if_changed
        return {name: attributes[name] for name in (*_SAME, *(("payload",) if repeats else ()))}


@plain_too
async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] | Options | None = None
) -> str | None:
    """Record what is not recorded; returns the uuid, or None if the vCon is not in Redis."""
    options = Options.of(opts)
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    attributes = _attributes(options, link_name, document, await hash_of(document))
    wanted = options.same(attributes)
    try:
        if not await api.is_recorded(options, wanted):
            await api.record(options, today(), attributes, wanted)
    except VendorError:
        increment_counter("conserver.link.datatrails.event_creation_failures")
        raise
    if options.asset_free_events:
        await _record_without_asset(options, vcon_uuid, attributes, wanted)
    return vcon_uuid


def today() -> str:
    """The day of assets that are needed now, in UTC."""
    return datetime.now(UTC).date().isoformat()


async def _record_without_asset(
    options: Options, vcon_uuid: str, attributes: Mapping[str, str], wanted: Mapping[str, str]
) -> None:
    trail = attributes["subject"]
    try:
        if not await api.is_recorded_without_asset(options, trail, wanted):
            await api.record_without_asset(options, trail, attributes, wanted)
    except VendorError as error:
        increment_counter("conserver.link.datatrails.event_creation_failures")
        log.warning(
            "event without an asset not recorded", extra={"error": str(error), "vcon": vcon_uuid}
        )


def _attributes(
    options: Options, link_name: str, document: Mapping[str, Any], vcon_hash: str
) -> dict[str, str]:
    changed = document.get("updated_at") or document.get("created_at")
    return {
        "arc_display_type": options.operation,
        "arc_event_type": options.operation,
        "conserver_link": "DataTrails",
        "conserver_link_name": link_name,
        "conserver_link_version": VERSION,
        "payload": vcon_hash,
        "payload_hash_alg": "SHA-256",
        "payload_preimage_content_type": "application/vcon+json",
        "subject": f"vcon://{document['uuid']}",
        "timestamp_declared": changed if isinstance(changed, str) else "",
        "vcon_draft_version": "01",
        "vcon_operation": options.operation,
    }
