"""Telling the receiver of a step that a vCon must be erased there: `erase: {url: ...}` of a step.

The body is a signed statement (`pipeline/law/writing/statements.py`) that names the erasure, the
vCon and the step. An answer of 2xx means that the receiver was told; one with the JSON object
`{"erased": true}` that it has erased the vCon. It may say so later, by way of an operator. The same
request may come more than once; its `Idempotency-Key` is the same then.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import orjson

from core.concurrency.thread_pool import in_own_thread
from core.errors import PluginFailedError
from flowlang.connections.tls import web_trust
from pipeline.config.law import EraseSpec
from pipeline.law.writing.statements import ERASURE_REQUEST, MEDIA_TYPE, signed
from schemas.law.erasures import ErasureTarget

FORM: Final = "patchcord-erasure-request-1"
MOST_ANSWERED: Final = 65_536
"""Bytes of an answer that are read; one that is longer says no more than its status."""


async def tell(spec: EraseSpec, erasure: str, target: ErasureTarget, now: datetime) -> bool:
    """Tell a receiver; True if it answers that it has erased the vCon.

    Raises:
        PluginFailedError: it cannot be reached, or answers with another status than 2xx; the
            message is a type without a text.
    """
    import httpx  # noqa: PLC0415 -- takes long, and few services need it

    content = {
        "form": FORM,
        "erasure": erasure,
        "vcon": target.vcon_uuid,
        "step": target.name,
        "kind": target.kind,
        "at": now.isoformat(timespec="seconds"),
    }
    body = await in_own_thread(signed, content, ERASURE_REQUEST, spec.sign_with)
    named = f"{erasure}:{target.vcon_uuid}:{target.kind}:{target.name}"
    headers = {**spec.headers, "Content-Type": MEDIA_TYPE, "Idempotency-Key": named}
    try:
        async with (
            httpx.AsyncClient(
                timeout=spec.timeout, follow_redirects=False, verify=web_trust()
            ) as client,
            client.stream("POST", spec.url, content=body, headers=headers) as answer,
        ):
            if not answer.is_success:
                raise PluginFailedError(f"HTTP{answer.status_code}")
            return _is_erased(await _bounded(answer.aiter_bytes()))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PluginFailedError(type(error).__name__) from None


async def _bounded(pieces: AsyncIterator[bytes]) -> bytes:
    text = b""
    async for piece in pieces:
        text += piece
        if len(text) > MOST_ANSWERED:
            return b""
    return text


def _is_erased(text: bytes) -> bool:
    try:
        said: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(said, dict) and said.get("erased") is True
