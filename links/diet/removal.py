"""Removes attachments and system prompts from a vCon, in place, and names what is moved."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from lib.vcon.dialogs import Document

PROMPT = "system_prompt"
_TYPES = ("mediatype", "mimetype", "mime_type")
"""The names of the media type in the versions of the vCon format, and in vcon-server."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A dialog's body that is to be kept elsewhere; `dialog_id` is what the vCon says."""

    vcon_uuid: str
    index: int
    dialog_id: object
    body: object

    @property
    def content(self) -> bytes:
        """The body as text, as it stands in the vCon."""
        return self.body.encode() if isinstance(self.body, str) else orjson.dumps(self.body)

    @property
    def digest(self) -> bytes:
        """The SHA-256 that names the upload: the same for each repetition."""
        place = f"{self.vcon_uuid} {self.index} ".encode()
        return hashlib.sha256(place + self.content).digest()

    @property
    def message(self) -> dict[str, object]:
        """What a media server is sent."""
        named = {"vcon_uuid": self.vcon_uuid, "dialog_id": self.dialog_id or ""}
        return {"content": self.body, **named}


def without_attachments(document: Document, unwanted: frozenset[str]) -> bool:
    """Remove attachments of these media types, in lower case; True if there were any."""
    attachments = document.get("attachments")
    if not isinstance(attachments, list):
        return False
    left = [each for each in attachments if not unwanted & set(_media_types(each))]
    document["attachments"] = left
    return len(left) < len(attachments)


def _media_types(attachment: Any) -> Iterator[str]:
    for name in _TYPES:
        found = attachment.get(name) if isinstance(attachment, dict) else None
        if isinstance(found, str):
            yield found.partition(";")[0].strip().lower()


def without_system_prompts(document: Document) -> bool:
    """Remove each member `system_prompt`, also in JSON text; True if there were any."""
    changed = _pruned(document)
    for section in ("dialog", "analysis", "attachments"):
        for entry in document.get(section) or ():
            if isinstance(entry, dict):
                changed |= _pruned_text(entry)
    return changed


def _pruned_text(entry: dict[str, Any]) -> bool:
    """The same for a body of JSON text, which is written anew if it had one."""
    body = entry.get("body")
    # A name may be written with escapes, so that it is not in the text.
    if not isinstance(body, str) or (PROMPT not in body and "\\u" not in body):
        return False
    # Not orjson: it rounds long integers, and refuses half a surrogate pair and great depth.
    try:
        found = json.loads(body)
        if not isinstance(found, dict | list) or not _pruned(found):
            return False
        half = "\\ud" in body.lower()  # half a surrogate pair stays an escape: no UTF-8 has it
        text = json.dumps(found, ensure_ascii=half, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError):  # no JSON, or a number that would be written otherwise
        return False
    entry["body"] = text
    return True


def _pruned(root: Any) -> bool:
    """Without recursion, since the author of a vCon chooses its depth."""
    changed, left = False, [root]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            if PROMPT in each:
                del each[PROMPT]
                changed = True
            left.extend(each.values())
        elif isinstance(each, list):
            left.extend(each)
    return changed
