"""Sending something to receivers on the web that the configuration names."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Annotated
from urllib.parse import urlsplit

import httpx
from pydantic import BeforeValidator, Field

from lib.web.http_client import shared_client
from lib.web.http_retry import BACKOFF, RETRIES, Patience, PatientOptions, complaint, insist

log = logging.getLogger(__name__)


class DeliveryError(Exception):
    """A receiver did not accept what was sent."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) and value else value or []


class ReceiverOptions(PatientOptions):
    """Where to, and how."""

    webhook_urls: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        [],
        alias="webhook-urls",
        description="the receivers; a text is taken for the only one; with none, the run goes on "
        "and the log says so",
    )
    headers: dict[str, str] = Field(
        {},
        description="sent with every request; `content-type` is `application/json` unless it is "
        "given here",
    )
    timeout: float = Field(30, gt=0, description="+ seconds for one attempt")
    retries: int = Field(3, ge=0, description=RETRIES)
    backoff: float = Field(0.5, ge=0, description=BACKOFF)

    def headers_of_json(self) -> httpx.Headers:
        """The headers to send JSON with."""
        headers = httpx.Headers({"content-type": "application/json"})
        headers.update(self.headers)
        return headers


async def deliver_to_all(
    urls: Iterable[str], body: bytes, headers: Mapping[str, str], patience: Patience
) -> None:
    """POST to every receiver, even if one fails.

    Raises:
        DeliveryError: naming the hosts that did not accept it, in their order.
    """
    sent = [deliver(url, body, headers, patience) for url in urls]
    if not sent:
        log.warning("webhook has no webhook-urls to send to")
    outcomes = await asyncio.gather(*sent, return_exceptions=True)
    failures = [outcome for outcome in outcomes if outcome is not None]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise DeliveryError("; ".join(map(str, failures)))


async def deliver(url: str, body: bytes, headers: Mapping[str, str], patience: Patience) -> None:
    """POST until the receiver answers 2xx.

    Repeated are 429, 5xx and broken connections. `Retry-After` is honoured up to 60 seconds.

    Raises:
        DeliveryError: naming the host, but not the URL, which may hold credentials.
    """

    async def post() -> None:
        answer = await shared_client().post(url, content=body, headers=headers)
        answer.raise_for_status()

    host = _host(url)
    try:
        await insist(post, patience, host)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        # "from None": the message of the cause has the URL in it.
        raise DeliveryError(f"{host} {complaint(error)}") from None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "the receiver"
    except ValueError:
        return "the receiver"
