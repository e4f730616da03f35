"""HTTP deliveries to the receivers in the configuration."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from lib.web.client import refused
from lib.web.client_library import httpx
from lib.web.http_client import shared_client
from lib.web.http_retry import (
    BACKOFF,
    RETRIES,
    HttpRetry,
    HttpRetryOptions,
    call_with_retry,
    failure_text,
    peer_failed,
)

log = logging.getLogger(__name__)

IDEMPOTENCY = "idempotency-key"
"""The header by which a receiver knows a repetition."""


class DeliveryError(Exception):
    """A receiver did not accept a delivery.

    `peer_failed`: one did not answer, or with 429 or 5xx; a destination's breaker counts these.
    """

    def __init__(self, text: str, *, peer_failed: bool = False) -> None:
        super().__init__(text)
        self.peer_failed = peer_failed


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) and value else value or []


class ReceiverOptions(HttpRetryOptions):
    """Options of plugins that send vCons to receivers."""

    webhook_urls: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        [],
        alias="webhook-urls",
        description="the receivers' URLs, a list or a single URL; without any, a warning is logged "
        "and the run continues",
    )
    headers: dict[str, str] = Field(
        {},
        description="headers of every request; `content-type` is `application/json` unless it is "
        "given here",
    )
    timeout: float = Field(30, gt=0, description="+ seconds for one attempt")
    retries: int = Field(3, ge=0, description=RETRIES)
    backoff: float = Field(0.5, ge=0, description=BACKOFF)

    def headers_of_json(self) -> dict[str, str]:
        """The headers for a JSON body, with names in lower case."""
        given = {name.lower(): value for name, value in self.headers.items()}
        return {"content-type": "application/json", **given}


async def deliver_to_all(
    urls: Iterable[str], body: bytes, headers: Mapping[str, str], retry: HttpRetry
) -> None:
    """POST to all receivers concurrently, even if one fails.

    Raises:
        DeliveryError: with the hosts that did not accept it, in the order of `urls`.
    """
    sent = [deliver(url, body, headers, retry) for url in urls]
    if not sent:
        log.warning("no webhook-urls configured")
    outcomes = await asyncio.gather(*sent, return_exceptions=True)
    failures = [outcome for outcome in outcomes if outcome is not None]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        failed = any(getattr(each, "peer_failed", False) for each in failures)
        raise DeliveryError("; ".join(map(str, failures)), peer_failed=failed)


async def deliver(url: str, body: bytes, headers: Mapping[str, str], retry: HttpRetry) -> None:
    """POST until the receiver answers 2xx or the retries are used up.

    Raises:
        DeliveryError: with the host, but not the URL, which may contain credentials.
    """

    async def post() -> None:
        answer = await shared_client().exchange("POST", url, headers=headers, content=body)
        if not answer.is_success:
            raise refused("POST", url, answer)

    host = _host(url)
    try:
        await call_with_retry(post, retry, host)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        # "from None": the cause's message contains the URL.
        failed = peer_failed(error)
        raise DeliveryError(f"{host} {failure_text(error)}", peer_failed=failed) from None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "the receiver"
    except ValueError:
        return "the receiver"
