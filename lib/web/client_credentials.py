"""Bearer tokens by OAuth 2.0 client credentials (RFC 6749, 4.4), kept until they expire."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeGuard

from pydantic import SecretStr

from lib.web import http_client
from lib.web.http_retry import HttpRetry, VendorError
from lib.web.json_api import JsonAnswer, call_json

UNAUTHORIZED = 401
KIND = "client credentials"
"""The kind of the tokens among the clients that `lib.web.http_client` keeps."""
_DIGITS = re.compile("[0-9]{1,9}", re.ASCII)
EARLY = 300.0
"""Seconds before its end at which a token is replaced, or half its time if that is less."""


class Grant(NamedTuple):
    """Where tokens come from, and for which client.

    `issuer` is the name of that server in errors, `refused` the error if the API answers 401 to a
    new token.
    """

    url: str
    client_id: str
    client_secret: SecretStr
    issuer: str
    refused: str
    scope: str = ""


def is_token(value: object) -> TypeGuard[str]:
    """Whether a bearer token can be sent: one that cannot would be kept, and fail each request."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value)


async def call_with_token(
    grant: Grant, retry: HttpRetry, send: Callable[[str], Awaitable[JsonAnswer]]
) -> JsonAnswer:
    """The answer of `send` with a token, which must return an answer of 401 and not raise it.

    A token that is refused is replaced once: it may have been revoked.

    Raises:
        VendorError: if there is no token, or the new one is refused, too.
    """
    kept: _Token = http_client.kept((KIND, *grant), _Token)
    refused = ""
    for _ in range(2):
        token = await kept.get(grant, retry, refused)
        answer = await send(token)
        if answer.status != UNAUTHORIZED:
            return answer
        refused = token
    raise VendorError(grant.refused)


class _Token:
    """The token of one grant; callers that need a new one wait for the same request."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._token = ""
        self._end = 0.0

    async def get(self, grant: Grant, retry: HttpRetry, refused: str) -> str:
        """A valid token that is not the refused one."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if not self._token or self._token == refused or now >= self._end:
                self._token, seconds = await _new_token(grant, retry)
                self._end = now + max(seconds - EARLY, seconds / 2)
            return self._token

    async def aclose(self) -> None:
        """Forget the token."""
        self._token = ""


async def _new_token(grant: Grant, retry: HttpRetry) -> tuple[str, float]:
    """A token, and for how many seconds it is valid."""
    form = {
        "grant_type": "client_credentials",
        "client_id": grant.client_id,
        "client_secret": grant.client_secret.get_secret_value(),
    }
    form |= {"scope": grant.scope} if grant.scope else {}
    answer = await call_json("POST", grant.url, server=grant.issuer, retry=retry, data=form)
    body = answer.body if isinstance(answer.body, dict) else {}
    token, seconds = body.get("access_token"), body.get("expires_in", 3600)
    if isinstance(seconds, str) and _DIGITS.fullmatch(seconds):  # Microsoft's older endpoints
        seconds = int(seconds)
    if not is_token(token) or not isinstance(seconds, int | float):
        raise VendorError(f"{grant.issuer} answered without a token")
    return token, float(seconds)
