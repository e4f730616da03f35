"""Sends an event to a JLINC server for each step of a vCon, as proof of its processing.

Reads the vCon, writes nothing to it. Before the first link and after each link, an event states
that the vCon passed from one entity to another: from the system to the first link, from each link
to the next, and from the last link to the system. Entities are named `PREFIX-system@DOMAIN` and
`PREFIX-LINK@DOMAIN`, with the server's first domain, and are created if they do not exist. An event
has the SHA-256 of the vCon, or the vCon itself if `hash_event_data` is off, and the vCon's uuids
before and after the step; the server forwards it to the archive named in it.

Raises `VendorError` if the server's last answer was not a success, and `LookupError` for a vCon
that is not in Redis. The error is logged and the run continues, unless `dlq_vcon_on_error` is on.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, SecretStr

from lib.plain_calls import plain_too
from lib.vcon_redis import AsyncVconRedis
from lib.web.answers import malformed, reading
from lib.web.http_client import shared_client
from lib.web.http_retry import RETRIES, HttpRetryOptions, VendorError, call_vendor

SERVER = "http://jlinc-server:9090"
NO_AGREEMENT = "00000000-0000-0000-0000-000000000000"

effect = "once"


class Options(HttpRetryOptions):
    """Options of the tracer."""

    data_store_api_url: str = Field(SERVER, description="the URL of the JLINC server")
    data_store_api_key: SecretStr = Field(SecretStr(""), description="the server's key")
    archive_api_url: str = Field(SERVER, description="the URL of the archive, sent in each event")
    archive_api_key: SecretStr = Field(
        SecretStr(""), description="the archive's key, sent in each event"
    )
    system_prefix: str = Field("VCONTest", description="the prefix of all entities' names")
    agreement_id: str = Field(NO_AGREEMENT, description="the agreement that covers the data")
    hash_event_data: bool = Field(
        True, description="true: send the vCon's hash; false: send the vCon"
    )
    dlq_vcon_on_error: bool = Field(
        False, description="whether an event that cannot be sent fails the attempt"
    )
    timeout: float = Field(30, gt=0, description="+ seconds for one attempt")
    retries: int = Field(3, ge=0, description=RETRIES)

    def entity(self, name: str, domain: str) -> str:
        """The entity name of the system or of a link."""
        return re.sub(r"[^a-z0-9._-]", "_", f"{self.system_prefix}-{name}".lower()) + f"@{domain}"


# Caches per server: its first domain, and the entities known to exist. Shared by all event loops of
# the process.
_domains: dict[tuple[str, str], str] = {}
_known: set[tuple[str, str, str]] = set()


@plain_too
async def run(
    in_vcon_uuid: str,
    out_vcon_uuid: str,
    tracer_name: str,
    links: Sequence[str],
    link_index: int,
    options: Mapping[str, Any] | Options | None = None,
) -> bool:
    """Send the event for the step after the link with this index; -1: before the first link."""
    given = Options.of(options)
    document = await AsyncVconRedis().required_vcon_dict(out_vcon_uuid)
    try:
        await _produce(given, document, in_vcon_uuid, ends(links, link_index))
    except VendorError:
        _forget(given)  # the server may have lost its entities
        raise
    return True


async def _produce(
    given: Options, document: dict[str, Any], in_vcon_uuid: str, names: tuple[str, str]
) -> None:
    sender, recipient = [await _entity(given, name) for name in names]
    event = {
        "type": "data",
        "senderShortName": sender,
        "recipientShortName": recipient,
        "agreementId": given.agreement_id,
        "data": {"hash": digest(document)} if given.hash_event_data else document,
        "meta": {"in_vcon_uuid": in_vcon_uuid, "out_vcon_uuid": document["uuid"]},
        "archive": {
            "url": given.archive_api_url,
            "key": given.archive_api_key.get_secret_value(),
        },
    }
    answer = await _post(given, "event/produce", event)
    with reading("JLINC", "the id of the event", answer):
        made = answer["created"]["eventId"]
    if not made:
        raise malformed("JLINC", "the id of the event", answer)


def ends(links: Sequence[str], index: int) -> tuple[str, str]:
    """Sender and recipient of the step after the link with this index."""
    sender = links[index] if index >= 0 else "system"
    return sender, links[index + 1] if index + 1 < len(links) else "system"


def digest(document: dict[str, Any]) -> str:
    """The SHA-256 in hex of the vCon's JSON, serialised as in vcon-server."""
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


async def _entity(options: Options, name: str) -> str:
    """The name of an entity, which is created on the server if it does not exist."""
    server = _server(options)
    if server not in _domains:
        _domains[server] = _first_domain(await _post(options, "entity/domains/get", {}))
    entity = {"shortName": options.entity(name, _domains[server])}
    known = (*server, entity["shortName"])
    if known not in _known:
        if not _has_did(await _post(options, "entity/get", entity)) and not _has_did(
            await _post(options, "entity/create", entity)
        ):
            raise VendorError(f"JLINC did not create the entity {entity['shortName']}")
        _known.add(known)
    return entity["shortName"]


def _server(options: Options) -> tuple[str, str]:
    return options.data_store_api_url, options.data_store_api_key.get_secret_value()


def _forget(options: Options) -> None:
    server = _server(options)
    _domains.pop(server, None)
    _known.difference_update({known for known in _known if known[:2] == server})


def _first_domain(answer: object) -> str:
    if not isinstance(answer, list) or not answer:
        raise VendorError("JLINC has no domain")
    return str(answer[0])


def _has_did(answer: object) -> bool:
    return isinstance(answer, dict) and bool(answer.get("didDoc"))


async def _post(options: Options, path: str, body: dict[str, Any]) -> Any:
    url = f"{options.data_store_api_url.rstrip('/')}/api/v1/data/{path}"
    headers = {"Authorization": f"Bearer {options.data_store_api_key.get_secret_value()}"}

    async def attempt() -> Any:
        answer = await shared_client().post(url, json=body, headers=headers)
        if path == "entity/get" and answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()

    return await call_vendor(attempt, options.http_retry, "JLINC")
