"""The content of a dialog's recording, from the vCon or its URL; and its length."""

import base64
import binascii
import hashlib
from collections.abc import Iterator

from lib.fetching import FetchError, fetch
from lib.recordings.wav import wav_seconds
from lib.vcon.dialogs import Entry, duration_of, external_body

SMALL_BODY = 65_536
"""Characters of a recording that is decoded within 0.1 ms: less than a change of thread takes."""

_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


class MediaError(RuntimeError):
    """A dialog's recording is missing, cannot be decoded, or does not match its hash."""


def media(dialog: Entry, seconds: float = 60.0) -> bytes:
    """The content of a dialog, from its body or its URL; blocks up to `seconds` for a fetch.

    The content is checked against `content_hash`, or against `signature` of older vCons.

    Raises:
        MediaError: if the body cannot be decoded or a hash does not match.
        lib.fetching.FetchError: if the URL cannot be fetched.
    """
    body, moved = dialog.get("body"), external_body(dialog)
    if moved is not None:
        content = _as_moved(fetch(moved, seconds=seconds).content, dialog.get("encoding"))
    else:
        content = decoded(body, dialog.get("encoding")) if body else fetch_media(dialog, seconds)
    _check(content, dialog)
    return content


def _as_moved(content: bytes, encoding: object) -> bytes:
    """A fetched body: the text that stood in the vCon, or the recording itself."""
    try:
        return decoded(content.decode("ascii"), encoding)
    except (UnicodeDecodeError, MediaError):
        return content


def fetch_media(dialog: Entry, seconds: float) -> bytes:
    """The content of the dialog's URL, without a check of its hash."""
    url = dialog.get("url")
    if not isinstance(url, str):
        raise MediaError("the dialog has neither a body nor a url")
    return fetch(url, seconds=seconds).content


def is_at_hand(dialog: Entry) -> bool:
    """Whether the recording is in the vCon, and small: reading it needs no thread of its own."""
    body = dialog.get("body")
    if external_body(dialog) is not None:
        return False
    return isinstance(body, str) and 0 < len(body) <= SMALL_BODY


def measured_duration(dialog: Entry) -> float | None:
    """`duration_of`, or else the length of the WAV, which may be fetched; None if unknown."""
    duration = duration_of(dialog)
    url = str(dialog.get("url") or "").partition("?")[0]
    if duration is not None or not (dialog.get("body") or url.lower().endswith(".wav")):
        return duration
    try:
        return wav_seconds(media(dialog))
    except (MediaError, FetchError):
        return None  # the vendor may still be able to fetch it


def decoded(body: object, encoding: object) -> bytes:
    """The bytes of a body.

    Raises:
        MediaError: it is not base64 in either alphabet, or has another encoding.
    """
    if not isinstance(body, str) or encoding not in ("base64url", "base64", None):
        raise MediaError(f"the dialog's body is no recording: its encoding is {encoding!r:.40}")
    # vCons contain both base64 alphabets, with and without padding.
    text = "".join(body.split()).replace("+", "-").replace("/", "_").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise MediaError("the dialog's body is not base64") from None


def _check(content: bytes, dialog: Entry) -> None:
    for name, expected in _expected(dialog):
        digest = _HASHES[name](content).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != expected:
            raise MediaError(f"the dialog's recording does not match its {name} in the vCon")


def _expected(dialog: Entry) -> Iterator[tuple[str, str]]:
    """Each supported hash in `content_hash`, or in `alg` and `signature` of older vCons."""
    hashes = dialog.get("content_hash")
    for each in hashes if isinstance(hashes, list) else [hashes]:
        name, _, value = str(each).partition("-")
        if name in _HASHES:
            yield name, value.rstrip("=")
    name = str(dialog.get("alg") or "").replace("-", "").lower()
    if name in _HASHES and isinstance(dialog.get("signature"), str):
        yield name, dialog["signature"].rstrip("=")
