"""Requests to Dataverse's Web API, with a token that is kept until it expires."""

from collections.abc import Container, Mapping
from typing import Any
from urllib.parse import quote

from lib.web.client_credentials import UNAUTHORIZED, Grant, call_with_token
from lib.web.http_retry import VendorError
from lib.web.json_api import JsonAnswer, call_json
from storage.dataverse.options import LONGEST_MEMO, Options

SERVER = "Dataverse"
NO_CONTENT, NOT_FOUND = 204, 404
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
        VendorError: if the last attempt got no answer, or a status that is not in `accept`; for a
            change, if it is not confirmed with 204.
    """
    grant = Grant(
        f"{options.authority}/{options.tenant_id}/oauth2/v2.0/token",
        options.client_id,
        options.client_secret,
        issuer="the login at Microsoft Entra ID",
        refused=f"{SERVER} answered 401: is the application {options.client_id} a user of the "
        "environment?",
        scope=f"{options.url}/.default",
    )

    async def send(token: str) -> JsonAnswer:
        return await _sent(options, method, place, token, params, row, accept)

    answer = await call_with_token(grant, options.http_retry, send)
    if method != "GET" and answer.status != NO_CONTENT and answer.status not in accept:
        raise VendorError(f"{SERVER} answered {answer.status} where it says 204; check url")
    return answer


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
    # Spaces as %20: in a URL of OData a + is a plus sign.
    query = "&".join(f"{name}={quote(value)}" for name, value in (params or {}).items())
    return await call_json(
        method,
        f"{options.table}{place}" + (f"?{query}" if query else ""),
        server=SERVER,
        retry=options.http_retry,
        headers=HEADERS | {"authorization": f"Bearer {token}"},
        accept=_With401(accept),
        most_bytes=LONGEST,
        **content,
    )


class _With401:
    def __init__(self, others: Container[int]) -> None:
        self._others = others

    def __contains__(self, status: object) -> bool:
        return status == UNAUTHORIZED or status in self._others
