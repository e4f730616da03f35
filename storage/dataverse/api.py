"""Requests to Dataverse's Web API, with a token that is kept until it expires."""

import asyncio
from collections.abc import Container, Mapping
from typing import Any

from lib.web import http_client
from lib.web.http_retry import VendorError
from lib.web.json_api import JsonAnswer, call_json
from storage.dataverse.options import LONGEST_MEMO, Options

SERVER = "Dataverse"
NOT_FOUND, UNAUTHORIZED = 404, 401
EARLY = 300
"""Seconds before its end at which a token is replaced."""
LONGEST = 3 * 2 * LONGEST_MEMO
"""Bytes of an answer: a vCon whose characters are all escaped or encoded in several bytes."""
HEADERS = {
    "accept": "application/json",
    "odata-maxversion": "4.0",
    "odata-version": "4.0",
    "if-none-match": "null",  # no cache between may answer
}


async def call(
    options: Options,
    method: str,
    place: str = "",
    *,
    params: Mapping[str, str] | None = None,
    row: Mapping[str, Any] | None = None,
    accept: Container[int] = (),
) -> JsonAnswer:
    """The answer to a request for the table; `place` is the key of a row, in parentheses.

    A token that is refused is replaced once: an administrator may have revoked it.

    Raises:
        VendorError: if the last attempt got no answer, or a status that is not in `accept`.
    """
    kept: _Token = http_client.kept(("dataverse", options), _Token)
    refused = ""
    for _ in range(2):
        token = await kept.get(options, refused)
        answer = await _sent(options, method, place, token, params, row, accept)
        if answer.status != UNAUTHORIZED:
            return answer
        refused = token
    raise VendorError(
        f"{SERVER} answered 401: is the application {options.client_id} a user of the environment?"
    )


async def _sent(
    options: Options,
    method: str,
    place: str,
    token: str,
    params: Mapping[str, str] | None,
    row: Mapping[str, Any] | None,
    accept: Container[int],
) -> JsonAnswer:
    content: dict[str, Any] = {"json": row} if row is not None else {}
    return await call_json(
        method,
        f"{options.table}{place}",
        server=SERVER,
        retry=options.http_retry,
        headers=HEADERS | {"authorization": f"Bearer {token}"},
        accept=_With401(accept),
        most_bytes=LONGEST,
        **content | ({"params": params} if params else {}),
    )


class _With401:
    def __init__(self, others: Container[int]) -> None:
        self._others = others

    def __contains__(self, status: object) -> bool:
        return status == UNAUTHORIZED or status in self._others


class _Token:
    """The token of one set of options; callers that need a new one wait for the same request."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._token = ""
        self._end = 0.0

    async def get(self, options: Options, refused: str) -> str:
        """A valid token that is not the refused one."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if not self._token or self._token == refused or now >= self._end:
                self._token, seconds = await _new_token(options)
                self._end = now + max(seconds - EARLY, seconds / 2)
            return self._token

    async def aclose(self) -> None:
        """Forget the token."""
        self._token = ""


async def _new_token(options: Options) -> tuple[str, float]:
    """A token, and for how many seconds it is valid."""
    form = {
        "grant_type": "client_credentials",
        "client_id": options.client_id,
        "client_secret": options.client_secret.get_secret_value(),
        "scope": f"{options.url}/.default",
    }
    url = f"{options.authority}/{options.tenant_id}/oauth2/v2.0/token"
    server = "the login at Microsoft Entra ID"
    answer = await call_json("POST", url, server=server, retry=options.http_retry, data=form)
    body = answer.body if isinstance(answer.body, dict) else {}
    token, seconds = body.get("access_token"), body.get("expires_in", 3600)
    if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
        raise VendorError(f"{server} answered without a token")
    return token, float(seconds)
