"""Leaves a proof with JLINC of each step that a vCon takes.

Reads the vCon, writes nothing on it. Before the first link and after each, it tells a JLINC server
that the vCon went from one entity to the next: from the system to the first link, from each link to
the one after it, and from the last back to the system. Entities are named `PREFIX-system@DOMAIN`
and `PREFIX-LINK@DOMAIN`, with the server's first domain, and are made when they are missing. The
event has the SHA-256 of the vCon, or the vCon itself where `hash_event_data` is off, and the uuids
of the vCon before and after the step; the archive named in it is sent that event by the server.

Raises `VendorError` when the server does not take an event in the end, and `LookupError` for a vCon
that is not in Redis. That is logged and the run goes on, unless `dlq_vcon_on_error` is on.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, SecretStr

from lib.plain_calls import plain_too
from lib.vcon_redis import AsyncVconRedis
from lib.web.http_client import shared_client
from lib.web.http_retry import RETRIES, PatientOptions, VendorError, ask

SERVER = "http://jlinc-server:9090"
NOBODY = "00000000-0000-0000-0000-000000000000"


class Options(PatientOptions):
    """Where JLINC is, and what it is told."""

    data_store_api_url: str = Field(SERVER, description="the server that is told")
    data_store_api_key: SecretStr = Field(SecretStr(""), description="its key")
    archive_api_url: str = Field(SERVER, description="the server's archive")
    archive_api_key: SecretStr = Field(
        SecretStr(""), description="the key for it, which the server is sent with each event"
    )
    system_prefix: str = Field("VCONTest", description="what the names of all entities begin with")
    agreement_id: str = Field(NOBODY, description="the agreement under which data is passed on")
    hash_event_data: bool = Field(
        True, description="whether an event has the hash of the vCon and not the vCon"
    )
    dlq_vcon_on_error: bool = Field(
        False, description="whether an event that is not taken fails the run's attempt"
    )
    timeout: float = Field(30, gt=0, description="+ seconds for one attempt")
    retries: int = Field(3, ge=0, description=RETRIES)

    def entity(self, name: str, domain: str) -> str:
        """The name by which the server knows the system or a link."""
        return re.sub(r"[^a-z0-9._-]", "_", f"{self.system_prefix}-{name}".lower()) + f"@{domain}"


# What a server has told before: its domain, and the entities that it is known to have. They are
# the same for all event loops of a process.
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
    """Tell of the step after the link with this index, -1 for the one to the first link."""
    given = Options.of(options)
    document = await AsyncVconRedis().get_vcon_dict(out_vcon_uuid)
    if document is None:
        raise LookupError(f"there is no vCon {out_vcon_uuid} in Redis")
    try:
        await _produce(given, document, in_vcon_uuid, ends(links, link_index))
    except VendorError:
        _forget(given)  # the server may have lost what it had
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
    if not (isinstance(answer, dict) and (answer.get("created") or {}).get("eventId")):
        raise VendorError("JLINC did not say that it made the event")


def ends(links: Sequence[str], index: int) -> tuple[str, str]:
    """Between whom the vCon passes after the link with this index."""
    sender = links[index] if index >= 0 else "system"
    return sender, links[index + 1] if index + 1 < len(links) else "system"


def digest(document: dict[str, Any]) -> str:
    """The SHA-256 of the vCon, over its JSON as vcon-server writes it."""
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


async def _entity(options: Options, name: str) -> str:
    """The entity's name at the server, which has it afterwards."""
    server = _server(options)
    if server not in _domains:
        _domains[server] = _first_domain(await _post(options, "entity/domains/get", {}))
    entity = {"shortName": options.entity(name, _domains[server])}
    known = (*server, entity["shortName"])
    if known not in _known:
        if not _has_did(await _post(options, "entity/get", entity)) and not _has_did(
            await _post(options, "entity/create", entity)
        ):
            raise VendorError(f"JLINC has no entity {entity['shortName']} and made none")
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

    return await ask(attempt, options.patience, "JLINC")
