"""Sends a vCon to receivers on the web.

Options: `webhook-urls`, a list of URLs that get the whole vCon as JSON in a POST; `headers`, sent
with each; `timeout`, seconds for one attempt; `retries`, how often an attempt that failed for the
moment is repeated; `backoff`, seconds before the first repeat, doubling from there; `secret`, with
which messages are signed as Standard Webhooks says (header `webhook-signature`).

Reads the vCon, writes nothing. All receivers get it even if one fails. Each message has the header
`webhook-id`, the same whenever the same vCon is sent again. A vCon that is not there ends the run.
Raises `DeliveryError` when a receiver did not answer 2xx in the end.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from lib.vcon_redis import AsyncVconRedis
from links.webhook.delivery import DeliveryError, Patience, close, deliver
from links.webhook.signature import message_id, signed_headers

__all__ = ["DeliveryError", "close", "default_options", "run"]

log = logging.getLogger(__name__)

default_options: dict[str, Any] = {
    "webhook-urls": [],
    "headers": {},
    "timeout": 30,
    "retries": 3,
    "backoff": 0.5,
    "secret": "",
}


async def run(
    vcon_uuid: str, link_name: str, opts: Mapping[str, Any] = default_options
) -> str | None:
    """Send the vCon to every receiver; its uuid, or None when there is no such vCon."""
    document = await AsyncVconRedis().get_vcon_dict(vcon_uuid)
    if document is None:
        return None
    options = default_options | dict(opts)
    body = orjson.dumps(document)
    headers = _headers(options, message_id(link_name, vcon_uuid, body), body)
    await _send(_urls(options), body, headers, _patience(options))
    return vcon_uuid


async def _send(
    urls: list[str], body: bytes, headers: Mapping[str, str], patience: Patience
) -> None:
    if not urls:
        log.warning("webhook has no webhook-urls to send to")
    sent = [deliver(url, body, headers, patience) for url in urls]
    outcomes = await asyncio.gather(*sent, return_exceptions=True)
    failures = [outcome for outcome in outcomes if outcome is not None]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise DeliveryError("; ".join(map(str, failures)))


def _urls(opts: Mapping[str, Any]) -> list[str]:
    urls = opts["webhook-urls"] or []
    return [urls] if isinstance(urls, str) else list(urls)


def _headers(opts: Mapping[str, Any], message: str, body: bytes) -> httpx.Headers:
    headers = httpx.Headers({"content-type": "application/json"})
    headers.update({name: str(value) for name, value in (opts["headers"] or {}).items()})
    headers["webhook-id"] = message
    if opts["secret"]:
        headers.update(signed_headers(opts["secret"], message, int(time.time()), body))
    return headers


def _patience(opts: Mapping[str, Any]) -> Patience:
    return Patience(
        timeout=float(opts["timeout"]),
        retries=int(opts["retries"]),
        backoff=float(opts["backoff"]),
    )
