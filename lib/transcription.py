"""What the links that transcribe have in common."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from lib.dialogs import Entry, media
from lib.openai_client import get_async_openai_client
from lib.openai_options import ProxyOptions
from lib.patience import VendorError, ask


async def transcribe_by_proxy(options: ProxyOptions, model: str, dialog: Entry) -> str:
    """What a LiteLLM proxy hears in a recording.

    Raises:
        VendorError: when there is no answer in the end, or none in words.
    """
    content = await asyncio.to_thread(media, dialog)
    access = {
        "LITELLM_PROXY_URL": options.litellm_proxy_url,
        "LITELLM_MASTER_KEY": options.litellm_master_key.get_secret_value(),
    }
    client = get_async_openai_client(access, timeout=options.timeout)
    file = (file_name(dialog), content)
    answer: Any = await ask(
        lambda: client.audio.transcriptions.create(model=model, file=file),
        *(options.patience, "the LiteLLM proxy"),
    )
    if not answer.text:
        raise VendorError("the LiteLLM proxy answered without a transcript")
    return str(answer.text)


def file_name(dialog: Entry) -> str:
    """A name for a recording, with an ending that tells its kind, which vendors go by."""
    path = urlsplit(str(dialog.get("url") or "")).path
    given = dialog.get("filename") or path.rpartition("/")[2]
    kind = str(dialog.get("mediatype") or "").rpartition("/")[2].removeprefix("x-")
    ending = {"mpeg": "mp3", "mp4": "m4a"}.get(kind, kind) or "wav"
    return str(given) if "." in str(given) else f"recording.{ending}"
