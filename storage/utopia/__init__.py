"""Sends vCons to a knowledge base of Utopia, which takes dated facts from them.

A vCon becomes a Markdown document `UUID.md` of dated sentences: parties, dialogs, summaries,
transcripts, tags, and its lawful basis (the attachment `lawful_basis`; it says so if there is
none). A content that the knowledge base has is not sent again. After another content is uploaded,
older documents of the vCon are deleted, also those that an interrupted save has left. Utopia's
deletion can be undone in its console. With `require_analysis_grant`, a vCon whose lawful basis does
not grant `analysis` now is not sent.

The service account needs the role Editor. The storage signs in at the first request of a process,
and again if the token has expired. Utopia sends texts to the language model that is configured
there.

Better than vcon-server's: what an interrupted save has left is removed by the next one; the text
does not change with the time; no subject or name can become the date of the document.

Reads the vCon, writes nothing to it; a vCon cannot be read back. Raises `LookupError` for a vCon
that is not in Redis, `ValueError` for an id that is not a uuid and for a text that is too large,
and `VendorError` if the last attempt got no answer or an error.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field, SecretStr, StringConstraints

from lib.options import PluginOptions
from lib.plain_calls import plain_too
from lib.vcon.fields import required_uuid
from lib.vcon_redis import AsyncVconRedis
from lib.web.client_credentials import is_token
from lib.web.http_client import kept
from lib.web.http_retry import BACKOFF, RETRIES, HttpRetry, VendorError
from lib.web.json_api import HttpUrl, JsonAnswer, call_json
from storage.utopia.rendering import rendered

__all__ = ["Options", "delete", "effect", "only_through_lib", "save"]

effect = "idempotent"
only_through_lib = True

log = logging.getLogger(__name__)

SERVER = "Utopia"
MOST_BYTES = 100 * 1024 * 1024 - 4096
"""Bytes of a text; Utopia takes 100 MiB with what is around it."""
MOST_DOCUMENTS = 200
"""Documents of one page, Utopia's maximum; a vCon has one, or a few after interruptions."""
ROUNDS = 3
"""How often a content is sent that another process deletes at the same moment."""
_ID = re.compile(r"[0-9A-Za-z_-]{1,100}")


class Options(PluginOptions):
    """Options of the storage."""

    base_url: HttpUrl = Field(
        "http://127.0.0.1:1516/api/v1", min_length=1, description="the URL of the REST API"
    )
    kb_id: Annotated[
        str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
    ] = Field(description="the uuid of the knowledge base")
    email: str = Field(min_length=3, description="the service account")
    password: SecretStr = Field(min_length=1, description="its password")
    timeout: float = Field(30, gt=0, description="seconds for one attempt")
    transient_retries: int = Field(3, ge=0, description=RETRIES.removeprefix("+ "))
    transient_backoff_base_s: float = Field(0.5, ge=0, description=BACKOFF.removeprefix("+ "))
    require_analysis_grant: bool = Field(
        False, description="whether only vCons are sent whose lawful basis grants `analysis`"
    )

    @property
    def http_retry(self) -> HttpRetry:
        """The retries as `lib.web` takes them."""
        return HttpRetry(self.timeout, self.transient_retries, self.transient_backoff_base_s)

    @property
    def documents(self) -> str:
        """The path of the knowledge base's documents."""
        return f"kbs/{self.kb_id}/documents"


type Given = Mapping[str, Any] | Options | None


@plain_too
async def save(vcon_uuid: str, opts: Given = None) -> None:
    """Upload the vCon's current content in Redis, and delete what it replaces."""
    options, uuid = Options.of(opts), required_uuid(vcon_uuid)
    document = await AsyncVconRedis().required_vcon_dict(vcon_uuid)
    text, grants_analysis = rendered(document, datetime.now(UTC))
    if options.require_analysis_grant and not grants_analysis:
        log.warning("vCon not sent, analysis is not granted", extra={"vcon": uuid})
        return
    content = text.encode(errors="replace")
    if len(content) > MOST_BYTES:
        raise ValueError(
            f"the text of the vCon {uuid} has {len(content)} bytes, more than "
            f"{MOST_BYTES}, which {SERVER} takes; the link diet makes it smaller"
        )
    for _ in range(ROUNDS):
        if await _is_replaced(options, uuid, content):
            return
    raise VendorError(f"{SERVER} does not list the document of the vCon {uuid} that it was sent")


@plain_too
async def delete(vcon_uuid: str, opts: Given = None) -> bool:
    """Delete the vCon's documents; False if there was none."""
    options = Options.of(opts)
    found = await _documents(options, required_uuid(vcon_uuid))
    await _delete(options, {each["id"] for each in found})
    return bool(found)


async def _is_replaced(options: Options, uuid: str, content: bytes) -> bool:
    """Upload the content, and delete the documents that were there before.

    Only those: one that came meanwhile is newer, and its process may delete this one. So after a
    deletion the document is looked for; False if it is not there.
    """
    digest = hashlib.sha256(content).hexdigest()
    before = await _documents(options, uuid)
    current = {each["id"] for each in before if each.get("sha256") == digest}
    if not current:
        file = (_file_name(uuid), content, "text/markdown")
        answer = await _call(options, "POST", options.documents, files={"file": file})
        current = {each["id"] for each in _listed(answer, "created") if _has_id(each)}
    older = {each["id"] for each in before} - current if current else set()
    await _delete(options, older)
    if current and not older:
        return True
    left = await _documents(options, uuid)
    return any(each["id"] in current or each.get("sha256") == digest for each in left)


def _file_name(uuid: str) -> str:
    return f"{uuid}.md"


async def _documents(options: Options, uuid: str) -> list[dict[str, Any]]:
    """The live documents of a vCon; Utopia finds them by a part of their name."""
    query: dict[str, Any] = {"q": uuid, "limit": MOST_DOCUMENTS}
    answer = await _call(options, "GET", options.documents, params=query)
    name = _file_name(uuid)
    listed = _listed(answer, "docs")
    return [each for each in listed if each.get("filename") == name and _has_id(each)]


def _has_id(document: Mapping[str, Any]) -> bool:
    found = document.get("id")
    return isinstance(found, str) and _ID.fullmatch(found) is not None


async def _delete(options: Options, ids: set[str]) -> None:
    for each in sorted(ids):
        await _call(options, "DELETE", f"documents/{each}", accept=(404,))


def _listed(answer: JsonAnswer, name: str) -> list[dict[str, Any]]:
    found = answer.body.get(name) if isinstance(answer.body, dict) else None
    if not isinstance(found, list | None):
        raise VendorError(f"{SERVER} answered without a list {name}")
    return [each for each in found or () if isinstance(each, dict)]


class _Session:
    """The token of one account, for all requests of an event loop."""

    def __init__(self) -> None:
        self.token = ""
        self._lock = asyncio.Lock()

    async def sign_in(self, options: Options, expired: str) -> str:
        """A token other than the expired one; one request at a time asks for it."""
        async with self._lock:
            if self.token == expired:
                self.token = await _token(options)
            return self.token

    async def aclose(self) -> None:
        """Forget the token."""
        self.token = ""


async def _token(options: Options) -> str:
    account = {"email": options.email, "password": options.password.get_secret_value()}
    answer = await call_json(
        "POST", _url(options, "auth/login"), server=SERVER, retry=options.http_retry, json=account
    )
    token = answer.body.get("token") if isinstance(answer.body, dict) else None
    if not is_token(token):
        raise VendorError(f"{SERVER} answered without a token")
    return token


async def _call(
    options: Options, method: str, path: str, accept: tuple[int, ...] = (), **content: Any
) -> JsonAnswer:
    """The answer to a request with a token, which is renewed once."""
    access = (options.base_url, options.email, options.password.get_secret_value())
    session = kept(("utopia", *access), _Session)
    token = session.token
    for is_last in (False, True):
        token = token or await session.sign_in(options, session.token)
        answer = await call_json(
            method,
            _url(options, path),
            server=SERVER,
            retry=options.http_retry,
            headers={"authorization": f"Bearer {token}"},
            accept=(*accept, *(() if is_last else (401,))),
            **content,
        )
        if answer.status != 401:
            break
        token = await session.sign_in(options, token)
    return answer


def _url(options: Options, path: str) -> str:
    return f"{options.base_url.rstrip('/')}/{path}"
